"""What our documents name exists: files, commands, make targets.

Decision records are left out: they are never edited, so they may name what has gone since.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from undercroft.cli.main import app

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src" / "undercroft"
DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("*.md"))
REFERENCE = sorted((REPOSITORY / "docs" / "reference").glob("*.md"))
DOCUMENTS = [
    path
    for path in (
        *(REPOSITORY / name for name in ("README.md", "ARCHITECTURE.md", "AGENTS.md")),
        REPOSITORY / "CONTRIBUTING.md",
        REPOSITORY / "docs" / "README.md",
        *GUIDES,
        *REFERENCE,
    )
    if path.exists()
]
LONGEST_AGENTS = 150

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")
# The start of a line, a pipe or a quotation; not `undercroft` as somebody's argument.
COMMAND = re.compile(
    r"(?:^|[`|(]|\$\(|&& )\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(undercroft [^`|)\n]+)", re.MULTILINE
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
TARGET = re.compile(r"(?:^|`)(?:\$ )?make ([a-z]+)", re.MULTILINE)
GENERATED = {".undercroft", ".venv"}


def quoted_paths(text: str) -> Iterator[str]:
    """Words in backticks that can only mean a file or directory of this repository."""
    ours = {path.name for path in (*REPOSITORY.iterdir(), *PACKAGE.iterdir())}
    for quoted in QUOTED.findall(FENCE.sub("", text)):
        if not PATH.fullmatch(quoted) or quoted.split("/")[0] in GENERATED:
            continue
        first, slash, _ = quoted.partition("/")
        if (slash and first in ours) or quoted.endswith((".md", ".toml")):
            yield quoted


def exists(path: str, beside: Path) -> bool:
    """Paths start at the repository, at the package or beside the document that names them."""
    return any(any(root.glob(path)) for root in (REPOSITORY, PACKAGE, beside))


def commands(text: str) -> list[str]:
    return [found.strip() for found in COMMAND.findall(text)]


def wrong_in(command: str) -> str | None:
    """The first word of an `undercroft …` line that our command line does not know."""
    known: Any = typer.main.get_command(app)
    for word in shlex.split(command, comments=True)[1:]:
        if word in {"…", "...", "&"}:
            break
        if word.startswith("-"):
            options = {name for param in known.params for name in param.opts} | {"--help"}
            if word.partition("=")[0] not in options:
                return word
        elif hasattr(known, "commands"):
            if word not in known.commands:
                return word
            known = known.commands[word]
    return None


def links(text: str) -> list[tuple[str, str]]:
    """File and anchor of each link that stays in the repository."""
    return LINK.findall(FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """Headings, as GitHub names them in addresses."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(file: str, anchor: str, document: Path) -> bool:
    target = document.parent / file if file else document
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


class TestDocuments:
    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_name_paths_that_exist(self, document: Path):
        named = quoted_paths(document.read_text())
        assert [path for path in named if not exists(path, document.parent)] == []

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_name_commands_that_exist(self, document: Path):
        named = commands(document.read_text())
        assert {line: wrong for line in named if (wrong := wrong_in(line))} == {}

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_name_make_targets_that_exist(self, document: Path):
        makefile = (REPOSITORY / "Makefile").read_text()
        targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
        assert set(TARGET.findall(document.read_text())) - targets == set()

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_link_to_pages_and_headings_that_exist(self, document: Path):
        found = links(document.read_text())
        assert [link for link in found if not leads_somewhere(*link, document)] == []

    @pytest.mark.parametrize("page", [*GUIDES, *REFERENCE], ids=lambda path: path.name)
    def test_are_found_from_the_index(self, page: Path):
        index = REPOSITORY / "docs" / "README.md"
        assert page in {(index.parent / file).resolve() for file, _ in links(index.read_text())}

    @pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
    def test_guides_are_found_from_the_start(self, guide: Path):
        start = REPOSITORY / "README.md"
        assert guide in {(start.parent / file).resolve() for file, _ in links(start.read_text())}

    def test_agents_fits_on_a_few_screens(self):
        lines = (REPOSITORY / "AGENTS.md").read_text().splitlines()
        assert len(lines) < LONGEST_AGENTS


class TestDecisions:
    def test_have_a_number_each(self):
        numbers = [path.name.partition("-")[0] for path in DECISIONS]
        assert len(set(numbers)) == len(numbers), numbers

    @pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.name)
    def test_carry_their_number_and_a_decision(self, record: Path):
        text = record.read_text()
        assert text.startswith(f"# {int(record.name.partition('-')[0])}. ")
        for part in ("## Context", "## Decision", "## Consequences", "Enforced by"):
            assert part in text, part


class TestTheseChecks:
    """A good and a bad sample each."""

    def test_paths(self):
        text = "`src/undercroft/app.py` `cli/nowhere.py` `/rest/v1` `a/b` `NO.md` `.venv/bin/x`"
        named = list(quoted_paths(text))
        assert named == ["src/undercroft/app.py", "cli/nowhere.py", "NO.md"]
        assert [exists(path, REPOSITORY) for path in named] == [True, False, False]

    def test_links(self):
        text = "[a](#paths-and-more) [b](README.md) [c](NO.md) [d](#no) [e](https://x.org)"
        here = REPOSITORY / "AGENTS.md"
        assert len(links(text)) == 4
        assert anchors("## Paths, and `more`\n```\n# no\n```") == {"paths-and-more"}
        assert [leads_somewhere(*link, here) for link in links(text)] == [False, True, False, False]

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            ("`undercroft db upgrade`", None),
            ("$ undercroft serve --port 0", None),
            ("ENVIRONMENT=production undercroft doctor --json", None),
            ("`undercroft dig`", "dig"),
            ("`undercroft db dig`", "dig"),
            ("`undercroft serve --backwards`", "--backwards"),
        ],
    )
    def test_commands(self, text: str, wrong: str | None):
        assert [wrong_in(command) for command in commands(text)] == [wrong]
