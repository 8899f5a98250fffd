"""Doors of the console: its parts and one's own snippets."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft.data.parts import DataParts
from undercroft.data.sql import queries
from undercroft.data.sql.models import SqlSnippet
from undercroft.data.sql.record import Console
from undercroft.foundation.http import CurrentActor, Parts, Session


async def _own_snippet(snippet_id: UUID, session: Session, actor: CurrentActor) -> SqlSnippet:
    return await queries.get_snippet(session, snippet_id, actor=actor)


async def _console(parts: Parts, data: DataParts) -> Console:
    return Console(parts.settings.sql, parts.database, data.developer, data.scripts)


OwnSnippet = Annotated[SqlSnippet, Depends(_own_snippet)]
TheConsole = Annotated[Console, Depends(_console)]
