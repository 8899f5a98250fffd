"""The page that says where each system's endpoints went names routes and tests that exist."""

import re
from pathlib import Path

from tests.fixtures.routes import entries
from undercroft.app import Application

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "systems.md"
ROUTE = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (P?)(/[^`]*)`")
PROOF = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
MOST_IN_A_ROW = re.compile(r"^\| (?!Then)(?!---)", re.MULTILINE)


def shape(path: str) -> str:
    """Names of parameters and how they are read make no difference."""
    return re.sub(r"{[^}]*}", "{}", path)


def test_every_route_exists(app: Application):
    routes = {(entry.method, shape(entry.path)) for entry in entries(app)}
    named = {
        (method, shape(f"/api/v1{path}" if prefixed else path))
        for method, prefixed, path in ROUTE.findall(PAGE.read_text())
    }
    assert len(named) > 100
    assert named - routes == set()


def test_every_test_exists():
    proofs = set(PROOF.findall(PAGE.read_text()))
    assert len(proofs) > 40
    missing = []
    for file, name in proofs:
        path = ROOT / file
        text = path.read_text() if path.exists() else ""
        if not text or (name and not re.search(rf"(class|def) {name}\b", text)):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_every_line_has_a_proof():
    lines = [line for line in PAGE.read_text().splitlines() if MOST_IN_A_ROW.match(line)]
    assert [line for line in lines if not PROOF.search(line)] == []
