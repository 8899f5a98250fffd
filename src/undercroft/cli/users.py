"""`undercroft users`: accounts from the server's own shell."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from undercroft.cli.identity import described, find_user, with_identity
from undercroft.cli.options import HomeOption, JsonOption

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from undercroft.identity.parts import Identity

app = typer.Typer(help="Accounts.", no_args_is_help=True)

IdentifierArgument = Annotated[
    str, typer.Argument(help="E-mail address, phone number or username.", show_default=False)
]
PasswordOption = Annotated[
    str,
    typer.Option(
        prompt=True,
        hide_input=True,
        confirmation_prompt=True,
        help="Asked for when left out, which keeps it out of the shell's history.",
    ),
]


@app.command("create")
def create(
    identifier: IdentifierArgument,
    password: PasswordOption,
    superuser: Annotated[bool, typer.Option(help="With every right.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account that is active at once."""

    async def work(session: "AsyncSession", identity: "Identity") -> dict[str, Any]:
        from undercroft.identity.users import service
        from undercroft.identity.users.identifiers import parse_identifier

        parsed = parse_identifier(identifier)
        identity.passwords.check_policy(password, parsed.words)
        hashed = await identity.passwords.hash(password)
        user = await service.create_user(session, parsed, password_hash=hashed)
        if superuser:
            await service.promote(session, user.id)
        return described(user)

    _report(with_identity(home, "users create", work), "created", as_json=as_json)


@app.command("promote")
def promote(
    identifier: IdentifierArgument, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Give an account every right."""

    async def work(session: "AsyncSession", _identity: "Identity") -> dict[str, Any]:
        from undercroft.identity.users import service

        user = await find_user(session, identifier)
        await service.promote(session, user.id)
        return described(user)

    _report(with_identity(home, "users promote", work), "promoted", as_json=as_json)


@app.command("password")
def password(
    identifier: IdentifierArgument,
    password: PasswordOption,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a new password; every session of the account ends."""

    async def work(session: "AsyncSession", identity: "Identity") -> dict[str, Any]:
        from undercroft.identity.users import service
        from undercroft.identity.users.identifiers import parse_identifier

        user = await find_user(session, identifier)
        identity.passwords.check_policy(password, parse_identifier(identifier).words)
        hashed = await identity.passwords.hash(password)
        await service.set_password(session, user.id, hashed)
        return described(user)

    _report(with_identity(home, "users password", work), "new password", as_json=as_json)


@app.command("suspend")
def suspend(
    identifier: IdentifierArgument, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Suspend an account; every session of it ends."""

    async def work(session: "AsyncSession", _identity: "Identity") -> dict[str, Any]:
        from undercroft.foundation.access import Actor, Role
        from undercroft.identity.users import service
        from undercroft.identity.users.models import UserStatus

        user = await find_user(session, identifier)
        operator = Actor(role=Role.SERVICE, is_superuser=True)
        return described(
            await service.set_status(session, user.id, UserStatus.SUSPENDED, actor=operator)
        )

    _report(with_identity(home, "users suspend", work), "suspended", as_json=as_json)


def _report(user: dict[str, Any], done: str, *, as_json: bool) -> None:
    import json

    print(json.dumps(user) if as_json else f"{user['identifier']}: {done} ({user['id']})")
