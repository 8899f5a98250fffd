"""Policies on the wire, written out or by template."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StrictBool, StringConstraints, model_validator

from undercroft.data.tables.schemas import Given, Name

ApiRole = Literal["anon", "authenticated", "service_role", "public"]
Command = Literal["all", "select", "insert", "update", "delete"]
OrganizationRole = Literal["owner", "admin", "member", "guest"]
Roles = Annotated[list[ApiRole], Field(min_length=1, max_length=4)]
Condition = Annotated[str, StringConstraints(max_length=10_000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Owner(Given):
    """Rows whose `column` is the caller's id."""

    kind: Literal["owner"]
    column: Name = "user_id"


class OrganizationMember(Given):
    """Rows whose `column` is an organization of the caller, where they hold one of `roles`."""

    kind: Literal["organization_member"]
    column: Name = "organization_id"
    roles: list[OrganizationRole] = Field(
        default_factory=list, max_length=4, description="Empty: any role, guests too."
    )


class PublicRead(Given):
    """Everybody reads every row, people who are not signed in too."""

    kind: Literal["public_read"]


class Feature(Given):
    """Callers for whom a feature flag is on."""

    kind: Literal["feature"]
    feature: Word


class HoldsPermission(Given):
    """Callers who hold a permission."""

    kind: Literal["permission"]
    permission: Annotated[Word, Field(examples=["invoices:read"])]


Template = Annotated[
    Owner | OrganizationMember | PublicRead | Feature | HoldsPermission,
    Field(discriminator="kind"),
]


class PolicyCreate(Given):
    """`using` decides which rows are seen, `check` which may be written; or a `template` does."""

    name: Name
    command: Command | None = Field(None, description="Default: all; select for public_read.")
    roles: Roles | None = Field(
        None, description="Default: authenticated; anon and authenticated for public_read."
    )
    using: Annotated[Condition | None, Field(examples=["owner_id = (select auth.uid())"])] = None
    check: Condition | None = None
    template: Template | None = None
    permissive: StrictBool = True
    create_index: StrictBool = Field(
        default=False, description="Make the index that a template's column needs, if none is."
    )

    @model_validator(mode="after")
    def _written_once(self) -> Self:
        if self.template is not None and (self.using is not None or self.check is not None):
            message = "give `template`, or `using` and `check`"
            raise ValueError(message)
        if self.create_index and self.template is None:
            message = "`create_index` goes with `template`"
            raise ValueError(message)
        if isinstance(self.template, PublicRead) and self.command not in (None, "select"):
            message = "`public_read` is for select"
            raise ValueError(message)
        return self


class PolicyUpdate(Given):
    """What is named is changed. The command of a policy cannot be."""

    name: Name | None = None
    roles: Roles | None = None
    using: Condition | None = None
    check: Condition | None = None


class PolicyRead(BaseModel):
    name: str
    command: str
    roles: list[str]
    using: str | None
    check: str | None
    permissive: bool


class NeededIndex(BaseModel):
    """Without it every statement under the policy reads the whole table."""

    column: str
    exists: bool
    sql: str


class PolicyMade(PolicyRead):
    needs_index: NeededIndex | None = None
