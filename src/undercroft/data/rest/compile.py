"""Turns the shape of a request into a statement, once per shape.

Everything a request says except its values and its caller is in `Intent`, which is hashable; a
`Compiler` remembers what it made of the last few thousand, for as long as its catalogue lives.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.media import parse_accept
from undercroft.data.rest.plan.call import Call, CallRequest, find_function, plan_call
from undercroft.data.rest.plan.hints import closest
from undercroft.data.rest.plan.negotiate import Answer, Writer, negotiate
from undercroft.data.rest.plan.read import ReadRequest, needed_columns, plan_read
from undercroft.data.rest.plan.tree import Node, embed_as_jsonb, walk
from undercroft.data.rest.plan.write import (
    BodyShape,
    Delete,
    Insert,
    Update,
    Write,
    plan_body,
    plan_insert,
    plan_upsert,
    root_conditions,
)
from undercroft.data.rest.preferences import Preferences
from undercroft.data.rest.query import call as call_sql
from undercroft.data.rest.query import read as read_sql
from undercroft.data.rest.query import result
from undercroft.data.rest.query.sql import Statement, statement
from undercroft.data.rest.query.write import write as write_sql
from undercroft.data.rest.query_string import Shape
from undercroft.data.rest.ranges import Slice
from undercroft.data.schema.model import (
    Catalog,
    Function,
    QualifiedName,
    Table,
    Volatility,
)

SHAPES_KEPT = 4096


class Intent(NamedTuple):
    """A request without its values. `windows` pairs the path of an embed with its window.

    `arguments` pairs the name of a function's argument with its slot; `body_keys` are the columns
    or arguments of a body, None when there is none.
    """

    action: str
    target: QualifiedName
    shape: Shape
    preferences: Preferences
    accept: str | None
    windows: tuple[tuple[str, Slice], ...] = ()
    body_keys: tuple[str, ...] | None = None
    body_is_object: bool = False
    body_slot: int = 0
    content_type: str = ""
    arguments: tuple[tuple[str, int], ...] = ()
    headers_only: bool = False


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement with what the executor and the response need to know of it.

    `warning` tells the client what it should no longer ask so.
    """

    statement: Statement
    answer: Answer
    table: Table | None = None
    function: Function | None = None
    explain_count: Statement | None = None
    read_only: bool = True
    warning: str | None = None

    @property
    def returns_nothing(self) -> bool:
        return self.function is not None and self.function.returns_void

    @property
    def is_foreign(self) -> bool:
        """Whether code runs that others wrote: the function, or triggers of the table or below."""
        table = self.table
        if self.function is not None or table is None:
            return True
        return not self.read_only and (table.has_triggers or table.is_view)


class Compiler:
    """Compiles for one catalogue; a refreshed one gets a new compiler."""

    def __init__(self, catalog: Catalog, config: RestConfig) -> None:
        self.catalog = catalog
        self._config = config
        self.compile = lru_cache(maxsize=SHAPES_KEPT)(self._compile)

    def _compile(self, intent: Intent) -> Compiled:
        if intent.action == "call":
            return self._compile_call(intent)
        table = self.find_table(intent.target)
        if intent.action == "read":
            return self._compile_read(intent, table)
        return self._compile_write(intent, table)

    def find_table(self, name: QualifiedName) -> Table:
        table = self.catalog.tables.get(name)
        if table is None:
            names = [known.name for known in self.catalog.tables if known.schema == name.schema]
            raise _table_not_found(name, closest(name.name, names, 0.75))
        return table

    def find_function(self, name: QualifiedName, arguments: tuple[str, ...]) -> Function:
        return find_function(self.catalog, CallRequest(name, arguments, "", posted=False))

    def _compile_read(self, intent: Intent, table: Table) -> Compiled:
        node = self._plan_read(intent, table.name)
        answer = self._negotiate(intent, table.name, node)
        query = read_sql.select(node)
        count = self._count_query(intent, node)
        sql = result.read_result(query, count, answer, windowed=_is_windowed(node))
        return Compiled(
            statement(sql),
            answer,
            table=table,
            explain_count=_estimated(intent, node),
            warning=_warning(node),
        )

    def _count_query(self, intent: Intent, node: Node) -> str | None:
        if not intent.preferences.counts:
            return None
        query = read_sql.count(node)
        rows = self._config.max_rows
        if intent.preferences.count == "estimated" and rows is not None:
            return f"{query} LIMIT {rows + 1}"  # enough to know that there are more
        return query

    def _plan_read(
        self, intent: Intent, table: QualifiedName, *, from_source: bool = False
    ) -> Node:
        writes = intent.action not in ("read", "call")
        return plan_read(
            self.catalog,
            ReadRequest(
                table=table,
                shape=intent.shape,
                windows=dict(intent.windows) if not writes else {},
                from_source=from_source,
                filters_root=not writes,
                max_rows=None if writes else self._config.max_rows,
                aggregates=self._config.aggregates_enabled,
                legacy_names=self._config.legacy_target_names,
            ),
        )

    def _negotiate(self, intent: Intent, target: QualifiedName, node: Node) -> Answer:
        answer = negotiate(
            self.catalog,
            parse_accept(intent.accept),
            target,
            whole_rows=_selects_whole_rows(node),
            plan_enabled=self._config.plan_enabled,
        )
        if answer.writer in (Writer.CSV, Writer.CUSTOM):
            embed_as_jsonb(node)
        _check_preferences(intent.preferences)
        return answer

    def _compile_write(self, intent: Intent, table: Table) -> Compiled:
        preferences = intent.preferences
        node = self._plan_read(intent, table.name, from_source=True)
        returns = preferences.representation in ("representation", "headers-only")
        returning = tuple(needed_columns(node, table.primary_key)) if returns else ()
        plan = self._plan_write(intent, table, returning)
        answer = self._negotiate(intent, table.name, node)
        full = preferences.representation == "representation"
        if not full:
            answer = Answer(answer.media_type, Writer.NOTHING)
        located = intent.action == "insert" and preferences.representation == "headers-only"
        sql = result.write_result(
            write_sql(plan),
            read_sql.select(node) if full else None,
            answer,
            location_keys=table.primary_key if located else None,
            counts_inserted=isinstance(plan, Insert) and plan.merge,
        )
        return Compiled(
            statement(sql), answer, table=table, read_only=False, warning=_warning(node)
        )

    def _plan_write(self, intent: Intent, table: Table, returning: tuple[str, ...]) -> Write:
        if intent.action == "delete":
            conditions = root_conditions(self.catalog, table, intent.shape)
            return Delete(table.name, conditions, returning)
        preferences = intent.preferences
        body = plan_body(
            self.catalog,
            table,
            BodyShape(intent.body_keys or (), intent.body_is_object, intent.body_slot),
            defaults=preferences.missing == "default" and intent.action != "upsert",
        )
        if intent.action == "insert":
            resolution = preferences.resolution
            return plan_insert(
                table, intent.shape, body, resolution=resolution, returning=returning
            )
        if intent.action == "upsert":
            return plan_upsert(self.catalog, table, intent.shape, body, returning=returning)
        conditions = root_conditions(self.catalog, table, intent.shape)
        return Update(table.name, body, conditions, returning)

    def _compile_call(self, intent: Intent) -> Compiled:
        request = _call_request(intent)
        function = find_function(self.catalog, request)
        table = _result_table(function)
        node = self._plan_read(intent, table, from_source=True)
        returning = _returning(node)
        body = None
        if request.posted and not intent.arguments:
            keys = intent.body_keys or ()
            body = BodyShape(keys, intent.body_is_object, intent.body_slot)
        call = plan_call(function, request, body, intent.arguments, returning)
        answer = self._negotiate(intent, table, node)
        _check_affected(intent.preferences, function)
        count = read_sql.count(node) if intent.preferences.counts else None
        sql = self._call_sql(call, node, count, answer)
        return Compiled(
            statement(sql),
            answer,
            function=function,
            read_only=not request.posted or function.volatility is not Volatility.VOLATILE,
            warning=_warning(node),
        )

    def _call_sql(self, call: Call, node: Node, count: str | None, answer: Answer) -> str:
        query = read_sql.select(node)
        return result.call_result(
            call_sql.call(call), query, count, answer, call.function, windowed=_is_windowed(node)
        )


def _call_request(intent: Intent) -> CallRequest:
    names = intent.body_keys if intent.body_keys is not None else ()
    if intent.arguments:
        names = tuple(sorted(name for name, _ in intent.arguments))
    return CallRequest(intent.target, names, intent.content_type, bool(intent.content_type))


def _result_table(function: Function) -> QualifiedName:
    """Name the relation whose rows the function returns, else the function itself."""
    named = function.returns_composite and function.returns.schema != "pg_catalog"
    return QualifiedName(
        function.name.schema, function.returns.name if named else function.name.name
    )


def _returning(node: Node) -> tuple[str, ...]:
    names = needed_columns(node, ())
    if names == ["*"]:
        return ("*",)
    return tuple(sorted({*names, *read_sql.filter_columns(node)}))


def _selects_whole_rows(node: Node) -> bool:
    return (
        not node.embeds
        and len(node.select) == 1
        and node.select[0].field.name == "*"
        and node.select[0].aggregate is None
    )


def _is_windowed(node: Node) -> bool:
    """Tell whether the rows at hand may be fewer than all."""
    return node.window is not None or node.max_rows is not None


def _warning(root: Node) -> str | None:
    names = [f"`{node.name}` to `{node.output_name}`" for node in walk(root) if node.misnamed]
    if not names:
        return None
    return (
        "Embedded resource was referenced by relation name even though it has an alias."
        " This is deprecated and will stop working in a future release."
        f" Update {', '.join(names)} in query string filters, orders or limits."
    )


def _estimated(intent: Intent, node: Node) -> Statement | None:
    if intent.preferences.count in ("planned", "estimated"):
        return statement(read_sql.count(node))
    return None


def _check_preferences(preferences: Preferences) -> None:
    if preferences.invalid and preferences.strict:
        raise RestError(
            400,
            "PGRST122",
            "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(preferences.invalid)}",
        )


def _check_affected(preferences: Preferences, function: Function) -> None:
    if preferences.strict and preferences.max_affected is not None and not function.returns_set:
        raise RestError(
            400,
            "PGRST128",
            "Function must return SETOF or TABLE when max-affected preference is used"
            " with handling=strict",
        )


def _table_not_found(name: QualifiedName, suggestion: str | None) -> RestError:
    schema, table = name
    hint = suggestion and f"Perhaps you meant the table '{schema}.{suggestion}'"
    message = f"Could not find the table '{schema}.{table}' in the schema cache"
    return RestError(404, "PGRST205", message, hint=hint)
