"""`undercroft webhooks`: what is told to other servers, from the server's own shell."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from undercroft.cli.identity import with_identity
from undercroft.cli.options import HomeOption, JsonOption

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from undercroft.identity.parts import Identity

app = typer.Typer(help="Webhooks: how they are doing; send again.", no_args_is_help=True)

WebhookArgument = Annotated[UUID, typer.Argument(help="The webhook's id.", show_default=False)]


@app.command("list")
def list_webhooks(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Every webhook with what waits for it and what is dead."""

    async def work(session: "AsyncSession", _identity: "Identity") -> list[dict[str, Any]]:
        from undercroft.webhooks import queries

        return await queries.overview(session)

    lines = with_identity(home, "webhooks list", work)
    if as_json:
        print(json.dumps(lines, indent=2, default=str))
        return
    if not lines:
        print("No webhooks.")
    for line in lines:
        state = "on" if line["is_enabled"] else f"off ({line['disabled_reason'] or 'by hand'})"
        print(f"{line['id']}  {state:<14} {line['name']}  {line['url']}")
        print(
            f"    {line['pending']} waiting, {line['dead']} dead, {line['skipped']} skipped,"
            f" {line['failures']} failures in a row"
        )


@app.command("replay")
def replay_webhook(
    webhook_id: WebhookArgument,
    since: Annotated[datetime, typer.Option(help="From this time on, UTC.", show_default=False)],
    *,
    delivered: Annotated[bool, typer.Option(help="Also what arrived.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send again what is dead or was skipped; a running worker makes the calls."""

    async def work(session: "AsyncSession", identity: "Identity") -> int:
        from datetime import UTC

        from undercroft.foundation.outbound import Rules
        from undercroft.foundation.settings import load_settings
        from undercroft.webhooks import queries, service
        from undercroft.webhooks.catalogue import Catalogue
        from undercroft.webhooks.schemas import Replay

        settings = load_settings()
        rules = Rules(settings.outbound)
        desk = service.Desk(settings.webhooks, identity.keyring, rules, Catalogue())
        webhook = await queries.get_webhook_by_id(session, webhook_id)
        wish = Replay(since=since.replace(tzinfo=UTC))
        if delivered:
            wish.states.append("delivered")
        return await service.replay_since(session, desk, webhook, wish)

    count = with_identity(home, "webhooks replay", work)
    print(json.dumps({"replayed": count}) if as_json else f"Sent again: {count}.")
