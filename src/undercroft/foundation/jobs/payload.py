"""What a job may carry: the keyword arguments of its function, as JSON.

The function's signature is the schema. It is read when the job is declared, so a parameter that
must not travel through a queue fails at import and not on the day the job first runs.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NotRequired, Union, get_args, get_origin
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on

PLAIN_TYPES = {str, int, bool, UUID, NoneType}

# Payloads stand in a table, in backups and in `undercroft jobs list`: a secret does not go there.
SECRET_NAME = re.compile(r"(^|_)(password|secret|token|otp)$")

# `enqueue` takes these itself, and hands on every other name.
RESERVED_NAMES = {"session", "job", "at", "dedupe_key"}


class PayloadInvalid(TypeError):  # noqa: N818 - reads as the problems do
    """The values do not fit the job's signature. A mistake of ours, never of a caller."""


class Payload:
    """Turns the arguments of one job into bytes and back."""

    def __init__(self, name: str, types: Mapping[str, Any]) -> None:
        self._name = name
        # A TypedDict, because a model would reserve names such as `schema` and `json`.
        make: Any = TypedDict  # type checkers know it with literal names only
        shape = make(name, dict(types))
        shape.__pydantic_config__ = ConfigDict(
            extra="forbid", strict=True, hide_input_in_errors=True
        )
        self._adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(shape)

    def encode(self, values: Mapping[str, Any]) -> bytes:
        try:
            return self._adapter.dump_json(self._adapter.validate_python(dict(values)))
        except ValidationError as error:
            raise PayloadInvalid(f"{self._name}: {_reasons(error)}") from None

    def decode(self, payload: bytes | None) -> dict[str, Any]:
        """The arguments again; fails when the code has changed since they were written."""
        try:
            return self._adapter.validate_json(payload or b"{}")
        except ValidationError as error:
            raise PayloadInvalid(f"{self._name}: {_reasons(error)}") from None


def payload_of(name: str, function: Callable[..., Any]) -> Payload:
    """The payload that a job's signature describes, its first parameter (the context) aside."""
    _, *parameters = inspect.signature(function, eval_str=True).parameters.values()
    types: dict[str, Any] = {}
    for parameter in parameters:
        kind: Any = parameter.annotation
        _refuse_name(name, parameter.name)
        if not _types_in(kind) <= PLAIN_TYPES:
            raise TypeError(
                f"{name}: '{parameter.name}' must be str, int, bool, UUID or None; "
                "a job carries ids and loads the rest"
            )
        optional = parameter.default is not inspect.Parameter.empty
        types[parameter.name] = NotRequired[kind] if optional else kind
    return Payload(name, types)


@cache
def payload_of_event(name: str, event: type) -> Payload:
    """The payload of a subscriber: one event, a frozen dataclass."""
    if not is_dataclass(event) or not event.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise TypeError(f"{event.__name__} must be a frozen dataclass: an event is a fact")
    for field in fields(event):
        _refuse_name(event.__name__, field.name)
    return Payload(name, {"event": event})


def _types_in(annotation: Any) -> set[Any]:
    return (
        set(get_args(annotation))
        if get_origin(annotation) in {Union, UnionType}
        else {NoneType if annotation is None else annotation}
    )


def _refuse_name(owner: str, name: str) -> None:
    if name in RESERVED_NAMES:
        raise TypeError(f"{owner}: '{name}' is an argument of enqueue; choose another name")
    if SECRET_NAME.search(name):
        raise TypeError(f"{owner}: '{name}' looks like a secret; pass an id and load it in the job")


def _reasons(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in line['loc'])}: {line['msg']}"
        for line in error.errors(include_input=False, include_url=False)
    )
