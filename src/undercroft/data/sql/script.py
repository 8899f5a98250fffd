"""A script taken apart into its statements, and what each may not be.

Postgres' own parser finds the borders. Nothing here decides what a script may touch: that is the
rights of the role it runs as. Refused is what would end the script's one transaction, or needs a
connection that lives longer than the script. Trees are not built: a chain of ten thousand
additions is a tree so deep that turning it into objects exhausts the stack.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from pglast.parser import ParseError, scan, split

from undercroft.data.sql.errors import ScriptTooLong, SqlSyntax, StatementNotAllowed
from undercroft.foundation.http.rendering import TextNotStorable
from undercroft.foundation.settings import SqlSettings

FIRST_WORD = re.compile(r"[A-Za-z]+")
TRANSACTION = frozenset(
    {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"}
)
PLAIN = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "WITH", "TABLE", "SHOW", "EXPLAIN"}
)
REASONS = {
    "transaction": "A script is one transaction, which commits when all of it succeeded.",
    "copy": "COPY has no client here: use /tables/{table}/import and /tables/{table}/export.",
    "listen": "The session ends with the script, so nothing would be heard.",
    "owned": "This would take along what the developer's login needs.",
}


@dataclass(frozen=True)
class Statement:
    """One statement and where it starts in the script, in characters from 0."""

    text: str
    start: int

    @property
    def word(self) -> str:
        """Its first keyword; empty for a bracket."""
        found = FIRST_WORD.match(self.text)
        return found[0].upper() if found else ""

    @cached_property
    def keywords(self) -> list[str]:
        return [token.name for token in scan(self.text) if token.kind != "NO_KEYWORD"]

    def says(self, *words: str) -> bool:
        """Whether one of these keywords is in it; strings and comments do not count."""
        upper = self.text.upper()  # a scan of a long statement costs a second
        return any(word in upper and word in self.keywords for word in words)

    @property
    def changes_schema(self) -> bool:
        return self.word not in PLAIN | {"SET", "RESET", ""}

    @property
    def makes_table(self) -> bool:
        if self.word == "CREATE":
            return self.says("TABLE")
        return self.word in {"SELECT", "WITH"} and self.says("INTO")

    @property
    def stands_alone(self) -> bool:
        """Postgres runs it only outside a transaction."""
        if self.word == "VACUUM":
            return True
        changes = self.word in {"CREATE", "DROP", "REINDEX", "ALTER"}
        return changes and self.says("CONCURRENTLY")

    def refused(self) -> str | None:
        if self.word in TRANSACTION:
            return REASONS["transaction"]
        if self.word == "PREPARE" and self.says("TRANSACTION"):
            return REASONS["transaction"]
        if self.word == "COPY" and self.says("STDIN", "STDOUT"):
            return REASONS["copy"]
        if self.word in {"LISTEN", "UNLISTEN"}:
            return REASONS["listen"]
        if self.word in {"DROP", "REASSIGN"} and self.keywords[1:2] == ["OWNED"]:
            return REASONS["owned"]
        return None


def read_script(query: str, settings: SqlSettings) -> list[Statement]:
    """The statements of a script. Raises a problem for one that cannot be run."""
    check_text(query, settings)
    try:
        slices = split(query, only_slices=True)
    except ParseError as error:
        raise SqlSyntax(_located(query, error)) from error
    if len(slices) > settings.max_statements:
        raise ScriptTooLong(settings.max_statements, int(settings.max_query_bytes))
    found = [Statement(query[part], part.start) for part in slices]
    if not found:
        raise SqlSyntax({"message": "There is no statement.", "sqlstate": "42601"})
    for number, statement in enumerate(found):
        if reason := statement.refused():
            raise StatementNotAllowed(reason, number)
    if len(found) > 1 and (alone := [n for n, one in enumerate(found) if one.stands_alone]):
        raise StatementNotAllowed("It runs outside of transactions: send it alone.", alone[0])
    return found


def check_text(query: str, settings: SqlSettings) -> None:
    try:
        encoded = query.encode()
    except UnicodeEncodeError as error:
        raise TextNotStorable from error
    if len(encoded) > settings.max_query_bytes:
        raise ScriptTooLong(settings.max_statements, int(settings.max_query_bytes))
    if b"\x00" in encoded:
        raise TextNotStorable


def place(query: str, offset: int) -> dict[str, int]:
    """Position, line and column, each from 1, of a character counted from 0."""
    before = query[:offset]
    line_start = before.rfind("\n") + 1
    return {
        "position": offset + 1,
        "line": before.count("\n") + 1,
        "column": offset - line_start + 1,
    }


def _located(query: str, error: ParseError) -> dict[str, object]:
    message = str(error.args[0])
    members: dict[str, object] = {"message": message, "sqlstate": "42601"}
    if len(error.args) > 1 and isinstance(error.args[1], int):
        members |= place(query, min(error.args[1], len(query)))
    return members
