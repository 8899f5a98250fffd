"""What a CREATE statement says, read by Postgres' own parser."""

from dataclasses import dataclass
from typing import Any, Literal

import pglast
from pglast import ast
from pglast.parser import ParseError

from undercroft.data.functions.errors import DefinitionInvalid
from undercroft.data.sql_text import quote
from undercroft.foundation.http.rendering import TextNotStorable

Kind = Literal["function", "trigger"]
LANGUAGES = frozenset({"sql", "plpgsql"})
# Deeper trees than this many characters can make exhaust the stack of whoever builds them.
LONGEST = 60_000


@dataclass(frozen=True, slots=True)
class Described:
    """A definition taken apart. `table` is a trigger's."""

    kind: Kind
    schema: str
    name: str
    table: str | None = None
    is_definer: bool = False

    @property
    def drop(self) -> str:
        assert self.table
        return f"DROP TRIGGER {quote(self.name)} ON {quote(self.schema)}.{quote(self.table)}"


def describe(text: str, kind: Kind) -> Described:
    """Raise `DefinitionInvalid` for anything but one CREATE of this kind."""
    statement = _only_statement(text)
    if kind == "trigger":
        if not isinstance(statement, ast.CreateTrigStmt):
            raise DefinitionInvalid("This is not one CREATE TRIGGER.")
        relation: Any = statement.relation
        return Described(
            kind, relation.schemaname or "public", str(statement.trigname), relation.relname
        )
    if not isinstance(statement, ast.CreateFunctionStmt) or statement.is_procedure:
        raise DefinitionInvalid("This is not one CREATE FUNCTION.")
    names = [part.sval for part in statement.funcname or ()]
    if len(names) > 2:
        raise DefinitionInvalid("The name has too many parts.")
    options = {option.defname: option.arg for option in statement.options or ()}
    settings = {option.arg.name for option in statement.options or () if option.defname == "set"}
    _check_options(options, settings)
    schema = names[0] if len(names) == 2 else "public"
    return Described(kind, schema, names[-1], is_definer=_is_definer(options))


def _check_options(options: dict[str, Any], settings: set[str]) -> None:
    language = getattr(options.get("language"), "sval", "sql")
    if language.lower() not in LANGUAGES:
        raise DefinitionInvalid("The language is sql or plpgsql.")
    if _is_definer(options) and "search_path" not in settings:
        raise DefinitionInvalid(
            "SECURITY DEFINER needs SET search_path: its names would be the caller's to choose."
        )


def _is_definer(options: dict[str, Any]) -> bool:
    return bool(getattr(options.get("security"), "boolval", False))


def _only_statement(text: str) -> Any:
    try:
        if "\x00" in text or len(text.encode()) > LONGEST * 4:
            raise TextNotStorable
    except UnicodeEncodeError as error:
        raise TextNotStorable from error
    try:
        statements = pglast.parse_sql(text)
    except ParseError as error:
        raise DefinitionInvalid(str(error.args[0])) from error
    if len(statements) != 1:
        raise DefinitionInvalid("Send exactly one statement.")
    return statements[0].stmt
