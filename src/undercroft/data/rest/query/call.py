"""SQL of a function call."""

from undercroft.data.rest.plan.call import Call
from undercroft.data.rest.query.body import from_body
from undercroft.data.rest.query.fields import column
from undercroft.data.rest.query.sql import comma, ident, qualified, slot

# ruff: noqa: S608 - all SQL here is made of quoted names and slots


def call(plan: Call) -> str:
    """Write a query of the function's rows, or of `pgrst_scalar` when it returns no row type."""
    names = plan.returning or ("*",)
    columns = comma([column("pgrst_call", name) for name in names])
    if not plan.function.returns_composite:
        columns = "pgrst_call.pgrst_scalar"
    return f"SELECT {columns} FROM {_source(plan)}"


def _source(plan: Call) -> str:
    if plan.whole is not None:
        return _invoke(plan, f"{slot(plan.whole.slot)}::{plan.whole.parameter.type}")
    if plan.body is None or not plan.body.columns:
        return _invoke(plan, _direct(plan))
    arguments = comma(
        [
            _argument(item.name, f"pgrst_body.{ident(item.name)}", variadic=item.variadic)
            for item in plan.function.parameters
            if any(item.name == given.name for given in plan.body.columns)
        ]
    )
    return f"{from_body(plan.body, only_first=True)}, LATERAL {_invoke(plan, arguments)}"


def _direct(plan: Call) -> str:
    return comma(
        [
            _argument(item.name, f"{slot(index)}::{item.call_type}", variadic=item.variadic)
            for item, index in plan.direct
        ]
    )


def _argument(name: str, value: str, *, variadic: bool) -> str:
    return f"{'VARIADIC ' if variadic else ''}{ident(name)} := {value}"


def _invoke(plan: Call, arguments: str) -> str:
    invoked = f"{qualified(plan.function.name)}({arguments})"
    if plan.function.returns_composite:
        return f"{invoked} pgrst_call"
    return f"(SELECT {invoked} pgrst_scalar) pgrst_call"
