"""The receiver of docs/guides/webhooks.md, run as it stands there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.notifications.conftest import free_port
from tests.webhooks.conftest import API, Office

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "webhooks.md"


@pytest.fixture
def receiver_code(tmp_path: Path) -> Path:
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert code
    path = tmp_path / "receiver.py"
    path.write_text(code.group(1))
    return path


def started(code: Path, secret: str, port: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, str(code)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture
def stopped_afterwards() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


async def test_the_receiver_of_the_guide_takes_what_is_signed_and_nothing_else(
    office: Office, receiver_code: Path, stopped_afterwards: list[subprocess.Popen[str]]
):
    port = free_port()
    made = await office.webhook(f"http://127.0.0.1:{port}/")
    process = started(receiver_code, made["secret"], port)
    stopped_afterwards.append(process)
    # The first tries may come before the receiver listens: a replay gives it all of them again.
    await office.admin.post(f"{API}/{made['id']}/ping")
    sent = (await office.deliveries(made))[0]
    while sent["state"] != "delivered":
        if sent["state"] == "dead":
            path = f"{API}/{made['id']}/deliveries/{sent['id']}/replay"
            await office.admin.post(path)
        sent = (await office.deliveries(made))[0]
    assert process.stdout
    assert process.stdout.readline().startswith("webhook.ping")
    headers = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,eA=="}
    async with httpx.AsyncClient() as client:
        forged = await client.post(f"http://127.0.0.1:{port}/", content=b"{}", headers=headers)
    assert forged.status_code == 401
