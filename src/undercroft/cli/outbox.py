"""`undercroft outbox`: messages that no carrier took away, newest first."""

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from undercroft.foundation.settings import Settings


def show_outbox(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most messages to show.")] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show messages such as sign-up codes, newest first; what was sent has forgotten its words."""
    from undercroft.foundation.embedded import open_engines

    with open_engines(settings_for(home), command="outbox", existing=True) as settings:
        messages = asyncio.run(read_outbox(settings, limit))
    print(json.dumps(messages, indent=2) if as_json else _as_text(messages))


async def read_outbox(settings: "Settings", limit: int) -> list[dict[str, Any]]:
    """Messages as plain values; `content` is None where it was forgotten."""
    from undercroft.foundation.crypto import Keyring
    from undercroft.foundation.db import Database
    from undercroft.notifications import Post, list_messages, read_content

    assert settings.secret_key, "open_engines fills it in"
    post = Post(Keyring(settings.secret_key.get_secret_value()), settings.notifications)
    database = Database(settings.database)
    try:
        async with database.unit_of_work() as session:
            messages = await list_messages(session, limit=limit)
    finally:
        await database.dispose()
    return [
        {
            "id": str(message.id),
            "at": message.created_at.isoformat(),
            "channel": message.channel,
            "recipient": message.recipient,
            "kind": message.kind,
            "state": message.state,
            "error": message.error,
            "content": asdict(content) if (content := read_content(post, message)) else None,
        }
        for message in messages
    ]


def _as_text(messages: list[dict[str, Any]]) -> str:
    if not messages:
        return "The outbox is empty."
    return "\n\n".join(_paragraph(message) for message in messages)


def _paragraph(message: dict[str, Any]) -> str:
    head = f"{message['at']}  {message['channel']} to {message['recipient']}  [{message['state']}]"
    content = message["content"]
    if content is None:
        return f"{head}\n  {message['kind']}"
    lines = content["text"].strip().splitlines()
    return "\n".join([head, f"  {content['subject']}", *(f"  {line}".rstrip() for line in lines)])
