"""Names and literals as SQL writes them, for the few places where they cannot be parameters."""


def quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: str) -> str:
    """Relies on `standard_conforming_strings`, which is on everywhere."""
    return "'" + value.replace("'", "''") + "'"
