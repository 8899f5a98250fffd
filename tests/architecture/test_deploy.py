"""The files for containers name settings, commands and addresses that exist."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.test_documents import REPOSITORY, wrong_in
from undercroft.foundation.settings.known_names import KNOWN_NAMES

DEPLOY = REPOSITORY / "deploy"
EXAMPLE = (REPOSITORY / ".env.example").read_text("utf-8")


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def is_setting(name: str) -> bool:
    return name in KNOWN_NAMES or f"#{name}=" in EXAMPLE


def containers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    template = document.get("spec", {}).get("template", {})
    yield from template.get("spec", {}).get("containers", ())


def test_compose():
    services = documents("compose.yaml")[0]["services"]
    ours = [service for service in services.values() if service["image"] == "undercroft"]
    assert [wrong_in(" ".join(service["command"])) for service in ours] == [None] * 3
    names = {name for service in ours for name in service["environment"]}
    assert [name for name in names if not is_setting(name)] == []
    assert (DEPLOY / ours[0]["build"]["context"] / ours[0]["build"]["dockerfile"]).exists()


def test_kubernetes():
    found = documents("kubernetes.yaml")
    run = [container for document in found for container in containers(document)]
    assert [wrong_in(" ".join(container["args"])) for container in run] == [None] * 3
    settings = next(document for document in found if document["kind"] == "ConfigMap")["data"]
    assert [name for name in settings if not is_setting(name)] == []


def test_the_image_copies_what_is_there():
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--" not in line]
    assert [name for names in copied for name in names if not Path(REPOSITORY, name).exists()] == []
