"""The pump by itself, on a database where nobody else sends."""

from contextlib import aclosing

from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application
from undercroft.foundation.outbound import Outbound
from undercroft.foundation.settings import Settings
from undercroft.webhooks.pump import WAITING_NOW, Pump, Sender


async def test_what_waits_is_counted_now_and_then_only(
    app: Application, settings: Settings, query_counter: QueryCounter
):
    parts = app.parts
    async with aclosing(Outbound(settings.outbound)) as outbound:
        sender = Sender(settings.webhooks, parts.keyring, outbound)
        with query_counter() as count:
            for _ in range(5):
                await Pump(parts.database.unit_of_work, sender).run()
    assert count.statements.count(WAITING_NOW.text) == 1
