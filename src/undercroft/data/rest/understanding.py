"""Understands requests under one catalogue; a refreshed one gets a new understanding."""

from undercroft.data.rest.compile import Compiler
from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import unacceptable_schema
from undercroft.data.rest.execute import Recipe
from undercroft.data.rest.familiar import Familiar, Values, take_apart
from undercroft.data.rest.intent import read_call_intent, read_table_intent
from undercroft.data.rest.query.sql import Statement
from undercroft.data.rest.recipes import Recipes
from undercroft.data.rest.request import HttpRequest, Resource
from undercroft.data.rest.timing import NOT_TIMED, Stopwatch
from undercroft.data.rest.understood import Understood, frame
from undercroft.data.schema.model import Catalog


class Understanding:
    def __init__(self, catalog: Catalog, config: RestConfig) -> None:
        self.catalog = catalog
        self.compiler = Compiler(catalog, config)
        self._config = config
        self._recipes = Recipes(config)
        self._familiar = Familiar()

    def recall(
        self, request: HttpRequest, role: str, body: bytes | None
    ) -> tuple[Understood, Values] | None:
        """Understand a request that differs from one before in values alone."""
        asked = take_apart(request, role, body)
        known = asked and self._familiar.find(asked)
        return (known, asked.values) if asked and known else None

    def remember(
        self,
        request: HttpRequest,
        role: str,
        body: bytes | None,
        understood: Understood,
        values: Values,
    ) -> None:
        """Remember what a request on a table meant."""
        asked = take_apart(request, role, body)
        if asked is not None:
            self._familiar.remember(asked, understood, values)

    def understand(
        self,
        request: HttpRequest,
        resource: Resource,
        schema: str,
        body: bytes | None,
        role: str,
        watch: Stopwatch = NOT_TIMED,
    ) -> tuple[Understood, Values]:
        """Read a request and compile it. Raises RestError."""
        config, catalog = self._config, self.catalog
        read_intent = read_call_intent if resource.kind == "function" else read_table_intent
        intent, values, window = read_intent(
            request, resource, schema, body, config=config, catalog=catalog
        )
        watch.lap("parse")
        compiled = self.compiler.compile(intent)
        recipe = self._recipes.recipe(role, request.method, intent, compiled, catalog)
        profile = schema if self.names_schema(request) else None
        framed = frame(intent, compiled, config.prefix, profile)
        return Understood(intent, window, compiled, recipe, framed), values

    def looking(self, statement: Statement, schema: str, role: str, method: str) -> Recipe:
        """Make a recipe of a statement of ours that reads."""
        return self._recipes.bare(role, method, schema, statement, self.catalog)

    def schema(self, named: str | None) -> str:
        """Return the schema a request names, or the first. Raises RestError for one not served."""
        if named is None:
            return self._config.schemas[0]
        if named not in self._config.schemas:
            raise unacceptable_schema(named, self._config.schemas)
        return named

    def names_schema(self, request: HttpRequest) -> bool:
        """Tell whether an answer says which schema it is about."""
        return len(self._config.schemas) > 1 or request.profile is not None
