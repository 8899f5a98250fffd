"""`undercroft groups`: who is in which group, from the server's own shell."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from undercroft.cli.identity import described, find_user, with_identity
from undercroft.cli.options import HomeOption, JsonOption

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from undercroft.identity.access.models import Group
    from undercroft.identity.parts import Identity
    from undercroft.identity.users.models import User

app = typer.Typer(help="Groups and who is in them.", no_args_is_help=True)

GroupArgument = Annotated[str, typer.Argument(help="The group's codename.", show_default=False)]
IdentifierArgument = Annotated[
    str, typer.Argument(help="E-mail address, phone number or username.", show_default=False)
]
Lines = list[dict[str, Any]]


@app.command("list")
def list_groups(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Every group with what it permits and how many are in it."""

    async def work(session: "AsyncSession", _identity: "Identity") -> Lines:
        from undercroft.identity.access import queries

        groups = await queries.every_group(session)
        held = await queries.permissions_by_group(session, [group.id for group, _ in groups])
        return [
            {
                "codename": group.codename,
                "members": members,
                "is_active": group.is_active,
                "is_system": group.is_system,
                "permissions": held.get(group.id, []),
            }
            for group, members in groups
        ]

    lines = with_identity(home, "groups list", work)
    texts = [
        f"{line['codename']:<24} {line['members']:>6} members, permits {len(line['permissions'])}"
        for line in lines
    ]
    _print(lines, texts, as_json=as_json)


@app.command("members")
def members(group: GroupArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Who is in a group, oldest account first."""

    async def work(session: "AsyncSession", _identity: "Identity") -> Lines:
        return [described(user) for user in await _members(session, await _get(session, group))]

    lines = with_identity(home, "groups members", work)
    texts = [f"{line['identifier']} ({line['status']}, {line['id']})" for line in lines]
    _print(lines, texts, as_json=as_json)


@app.command("add")
def add(
    group: GroupArgument,
    identifier: IdentifierArgument,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put an account into a group; it holds at the account's next request."""
    _change(home, "groups add", group, identifier, join=True, as_json=as_json)


@app.command("remove")
def remove(
    group: GroupArgument,
    identifier: IdentifierArgument,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an account out of a group. The last superuser stays."""
    _change(home, "groups remove", group, identifier, join=False, as_json=as_json)


def _change(
    home: HomeOption, command: str, group: str, identifier: str, *, join: bool, as_json: bool
) -> None:
    async def work(session: "AsyncSession", _identity: "Identity") -> dict[str, Any]:
        from undercroft.foundation.access import Actor, Role
        from undercroft.identity.access import queries, service

        codename = (await _get(session, group)).codename
        user = await find_user(session, identifier)
        present = {one.codename for one in await queries.groups_of_user(session, user.id)}
        wanted = present | {codename} if join else present - {codename}
        # Whoever can run this reads the database anyway.
        operator = Actor(role=Role.SERVICE, is_superuser=True)
        groups = await service.replace_user_groups(session, user.id, wanted, actor=operator)
        return described(user) | {"groups": [one.codename for one in groups]}

    line = with_identity(home, command, work)
    groups = ", ".join(line["groups"]) or "no group"
    _print(line, [f"{line['identifier']} is in: {groups}"], as_json=as_json)


async def _get(session: "AsyncSession", codename: str) -> "Group":
    from undercroft.identity.access import queries
    from undercroft.identity.access.errors import GroupNotFound

    group = await queries.find_group_by_codename(session, codename)
    if group is None:
        raise GroupNotFound
    return group


async def _members(session: "AsyncSession", group: "Group") -> list["User"]:
    from undercroft.foundation.db import PageRequest
    from undercroft.identity.access import queries

    found: list[User] = []
    cursor: str | None = None
    while True:
        page = PageRequest(limit=100, cursor=cursor, count=False)
        users, cursor, _ = await queries.list_members(session, group.id, page)
        found += users
        if cursor is None:
            return found


def _print(data: Any, texts: list[str], *, as_json: bool) -> None:
    import json

    print(json.dumps(data) if as_json else "\n".join(texts))
