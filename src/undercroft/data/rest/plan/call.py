"""Plans a function call: which overload the arguments mean, and how they are handed over."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from undercroft.data.rest import media
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.plan.hints import closest
from undercroft.data.rest.plan.write import Body, BodyColumn, BodyShape
from undercroft.data.schema.model import Catalog, Function, Parameter, QualifiedName

# What a function's only, unnamed parameter must be to take a body of this kind whole.
_WHOLE_BODY = {
    media.JSON: ("json", "jsonb"),
    media.TEXT: ("text",),
    media.XML: ("xml",),
    media.BYTES: ("bytea",),
}
_RAW = (media.TEXT, media.XML, media.BYTES)


@dataclass(frozen=True, slots=True)
class CallRequest:
    """`posted`: arguments come in a body of `content_type`; otherwise in the query string."""

    function: QualifiedName
    argument_names: tuple[str, ...]
    content_type: str
    posted: bool


class DirectArgument(NamedTuple):
    """An argument that is the value at `slot` as it stands."""

    parameter: Parameter
    slot: int


@dataclass(frozen=True, slots=True)
class Call:
    """Arguments are either `direct`, in a JSON `body`, or one `whole` body at a slot."""

    function: Function
    direct: tuple[DirectArgument, ...] = ()
    body: Body | None = None
    whole: DirectArgument | None = None
    returning: tuple[str, ...] = ()


def find_function(catalog: Catalog, request: CallRequest) -> Function:
    """Find the one function of that name which the arguments fit."""
    overloads = catalog.functions.get(request.function, ())
    named = [function for function in overloads if _fits(function, request)]
    matching = named or [function for function in overloads if _takes_body(function, request)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise _none_found(catalog, request, overloads)
    raise _ambiguous(matching)


def _fits(function: Function, request: CallRequest) -> bool:
    given = set(request.argument_names)
    if "" in given:  # nothing is called so: a parameter without a name is not given by name
        return False
    if not function.parameters:
        return not given and not (request.posted and request.content_type in _RAW)
    required = {item.name for item in function.parameters if item.required}
    optional = {item.name for item in function.parameters if not item.required}
    return given - optional == required


def _takes_body(function: Function, request: CallRequest) -> bool:
    if not request.posted or len(function.parameters) != 1:
        return False
    only = function.parameters[0]
    return not only.name and only.type in _WHOLE_BODY.get(request.content_type, ())


def plan_call(
    function: Function,
    request: CallRequest,
    body: BodyShape | None,
    slots: Sequence[tuple[str, int]],
    returning: tuple[str, ...],
) -> Call:
    """Hand over the arguments given. `slots` are where direct ones are among the values."""
    parameters = function.parameters
    if len(parameters) == 1 and not parameters[0].name:
        assert body is not None
        return Call(function, whole=DirectArgument(parameters[0], body.slot), returning=returning)
    given = [item for item in parameters if item.name in request.argument_names]
    if body is None:
        by_name = dict(slots)
        direct = tuple(DirectArgument(item, by_name[item.name]) for item in given)
        return Call(function, direct=direct, returning=returning)
    columns = tuple(BodyColumn(item.name, item.call_type) for item in given)
    return Call(function, body=Body(columns, body.is_object, body.slot), returning=returning)


def _none_found(catalog: Catalog, request: CallRequest, overloads: Sequence[Function]) -> RestError:
    name = f"{request.function.schema}.{request.function.name}"
    arguments = ", ".join(request.argument_names)
    raw = request.posted and request.content_type in _RAW
    listed = f"({arguments})" if arguments else " without parameters"
    hint = None if raw else _suggestion(catalog, request, overloads)
    return RestError(
        404,
        "PGRST202",
        f"Could not find the function {name}{'' if raw else listed} in the schema cache",
        details=f"Searched for the function {name}{_searched(request, arguments)},"
        " but no matches were found in the schema cache.",
        hint=hint,
    )


def _searched(request: CallRequest, arguments: str) -> str:
    if request.posted and request.content_type in _RAW:
        kind = _WHOLE_BODY[request.content_type][0]
        return f" with a single unnamed {kind} parameter"
    plural = "s" if len(request.argument_names) > 1 else ""
    listed = f" with parameter{plural} {arguments}" if arguments else " without parameters"
    if request.posted and request.content_type == media.JSON:
        return f"{listed} or with a single unnamed json/jsonb parameter"
    return listed


def _suggestion(
    catalog: Catalog, request: CallRequest, overloads: Sequence[Function]
) -> str | None:
    schema, name = request.function
    if overloads:
        lists = [_signature(item.name for item in found.parameters) for found in overloads]
        found = closest(_signature(request.argument_names), lists)
        found = found and f"{name}{found}"
    else:
        names = sorted({known.name for known in catalog.functions if known.schema == schema})
        found = closest(name, names, 0.75)
    return found and f"Perhaps you meant to call the function {schema}.{found}"


def _signature(names: Iterable[str]) -> str:
    return f"({', '.join(sorted(names))})"


def _place(function: Function) -> tuple[int, str, list[tuple[str, str]]]:
    """Put overloads in an order of their own: the catalogue's is that of their creation."""
    parameters = [(item.name, item.type) for item in function.parameters]
    return len(parameters), function.description or "", parameters


def _ambiguous(found: Sequence[Function]) -> RestError:
    signatures = ", ".join(
        f"{item.name.schema}.{item.name.name}"
        f"({', '.join(f'{part.name} => {part.type}' for part in item.parameters)})"
        for item in sorted(found, key=_place)
    )
    return RestError(
        300,
        "PGRST203",
        f"Could not choose the best candidate function between: {signatures}",
        hint="Try renaming the parameters or the function itself in the database so function"
        " overloading can be resolved",
    )
