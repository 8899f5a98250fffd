"""What an OPTIONS request is told: the methods a resource takes."""

from undercroft.data.rest.compile import Compiler
from undercroft.data.rest.query_string import read_query, split_pairs
from undercroft.data.rest.request import HttpRequest, Resource
from undercroft.data.rest.response import Response
from undercroft.data.rest.understood import VARY
from undercroft.data.schema.model import QualifiedName, Volatility


def allow(compiler: Compiler, request: HttpRequest, resource: Resource, schema: str) -> Response:
    query = read_query(split_pairs(request.query), calls_function=True)
    arguments = tuple(sorted({name for name, _ in query.arguments}))
    methods = _methods(compiler, resource, QualifiedName(schema, resource.name), arguments)
    headers = [(b"allow", methods.encode()), (b"access-control-allow-origin", b"*"), VARY]
    return Response(200, headers, b"")


def _methods(
    compiler: Compiler, resource: Resource, name: QualifiedName, arguments: tuple[str, ...]
) -> str:
    if resource.kind == "root":
        return "OPTIONS,GET,HEAD"
    if resource.kind == "function":
        function = compiler.find_function(name, arguments)
        volatile = function.volatility is Volatility.VOLATILE
        return "OPTIONS,POST" if volatile else "OPTIONS,GET,HEAD,POST"
    table = compiler.find_table(name)
    methods = ["OPTIONS,GET,HEAD"]
    if table.insertable:
        methods.append("POST")
    if table.insertable and table.updatable and table.primary_key:
        methods.append("PUT")
    if table.updatable:
        methods.append("PATCH")
    if table.deletable:
        methods.append("DELETE")
    return ",".join(methods)
