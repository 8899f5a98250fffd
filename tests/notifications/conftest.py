"""Carriers as the outside world has them: an SMTP server, Twilio's API; and a worker's context."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.fixtures.certificates import Certificate
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from undercroft.app import build_parts
from undercroft.foundation.jobs import JobContext
from undercroft.foundation.settings import Settings
from undercroft.wings import create_registry

USER, PASSWORD = "mailer@example.com", "smtp password"


@pytest.fixture(scope="session")
def database(make_database: DatabaseFactory) -> str:
    """One where no worker runs: these tests are the worker."""
    return make_database()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Mailbox:
    """What the server took; `refusals` are answers it gives first."""

    mails: list[EmailMessage] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusals:
            return self.refusals.pop(0)
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


@dataclass
class SmtpServer:
    mailbox: Mailbox
    port: int


@pytest.fixture
def smtp(certificate: Certificate) -> Iterator[SmtpServer]:
    """Demands STARTTLS and a login."""

    def authenticate(_s: Any, _session: Any, _e: Any, _mechanism: Any, data: Any) -> AuthResult:
        right = data.login == USER.encode() and data.password == PASSWORD.encode()
        return AuthResult(success=right)

    mailbox = Mailbox()
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=certificate.context(),
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
        decode_data=False,
    )
    controller.start()
    yield SmtpServer(mailbox, controller.port)
    controller.stop()


@dataclass
class Twilio:
    """The wire format of Twilio's Messages resource. `answers` come first, then successes."""

    url: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        self.paths.append(first.split()[1])
        self.authorizations.append(headers["authorization"])
        self.forms.append({name: values[0] for name, values in parse_qs(body).items()})
        status, answer = self.answers.pop(0) if self.answers else (201, '{"sid": "SM123"}')
        reply = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(answer)}\r\n\r\n{answer}"
        )
        writer.write(reply.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    fake = Twilio()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fake.url = f"http://127.0.0.1:{port}"
    async with server:
        yield fake


@dataclass
class Desk:
    """A worker's view: its context for one try, and the database."""

    settings: Settings
    identity: Any
    unit_of_work: Any

    def context(self, attempt: int = 1) -> JobContext:
        return JobContext(
            unit_of_work=self.unit_of_work,
            settings=self.settings,
            services={"post": self.identity.post},
            job_id=1,
            attempt=attempt,
        )


@asynccontextmanager
async def desk(engines: EngineAddresses, database: str, **overrides: Any) -> AsyncIterator[Desk]:
    settings = engines.settings(database, notifications=overrides)
    parts, identity = build_parts(settings)
    assert create_registry().jobs
    yield Desk(settings, identity, parts.database.unit_of_work)
    identity.passwords.close()
    await parts.database.dispose()
    await parts.cache.close()
