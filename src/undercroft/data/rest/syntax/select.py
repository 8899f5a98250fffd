"""Parses `select=`, `columns=` and `on_conflict=`. Cached: clients repeat a handful of texts."""

from functools import lru_cache

from undercroft.data.rest.syntax.ast import Field, SelectEmbed, SelectField, SelectItem
from undercroft.data.rest.syntax.scanner import Scanner

STAR = SelectField(Field("*"))
AGGREGATES = ("sum", "avg", "count", "max", "min")
_AFTER_FIELD = ("letter", "digit", '"-"', '"->>"', '"->"', '"::"', '"."', '")"', '","')


@lru_cache(maxsize=4096)
def parse_select(text: str) -> tuple[SelectItem, ...]:
    """Read a select list; an empty text is an empty list."""
    return _items(Scanner(text, f"failed to parse select parameter ({text})"))


@lru_cache(maxsize=1024)
def parse_columns(text: str, parameter: str = "columns") -> tuple[str, ...]:
    """Read a list of column names, in the order given."""
    scanner = Scanner(text, f"failed to parse {parameter} parameter ({text})")
    names = [scanner.name()]
    while _comma(scanner):
        names.append(scanner.name())
    return tuple(names)


def _items(scanner: Scanner) -> tuple[SelectItem, ...]:
    if scanner.at_end() or scanner.looking_at(")"):
        return ()
    items = [_item(scanner)]
    while _comma(scanner):
        items.append(_item(scanner))
    return tuple(items)


def _comma(scanner: Scanner) -> bool:
    start = scanner.position
    scanner.skip_space()
    if scanner.looking_at(","):
        scanner.position += 1
        scanner.skip_space()
        return True
    scanner.position = start
    return False


def _item(scanner: Scanner) -> SelectItem:
    scanner.skip_space()
    if scanner.looking_at("*"):
        return _star(scanner)
    start = scanner.position
    embed = _embed_head(scanner)
    if embed is None:
        scanner.position = start
        return _field(scanner)
    scanner.open()
    items = _items(scanner)
    scanner.close()
    return embed._replace(items=items)


def _star(scanner: Scanner) -> SelectField:
    scanner.position += 1
    scanner.skip_space()
    _require_end(scanner, '")"', '","')
    return STAR


def _embed_head(scanner: Scanner) -> SelectEmbed | None:
    """Read up to an opening parenthesis, or None when this is not an embed after all."""
    spread = scanner.looking_at("...")
    if spread:
        scanner.position += 3
    alias = None if spread else _alias(scanner)
    name = scanner.optional_name()
    if name is None or (name == "count" and not spread):
        return None
    hint, inner = _embed_parameters(scanner)
    scanner.skip_space()
    if not scanner.looking_at("(") and not spread:
        return None
    return SelectEmbed(name, (), alias=alias, hint=hint, inner=inner, spread=spread)


def _embed_parameters(scanner: Scanner) -> tuple[str | None, bool]:
    hint: str | None = None
    join: str | None = None
    for _ in range(2):
        if not scanner.looking_at("!"):
            break
        scanner.position += 1
        if scanner.looking_at("left") or scanner.looking_at("inner"):
            word = "left" if scanner.looking_at("left") else "inner"
            scanner.position += len(word)
            join = join or word
        else:
            hint = hint or scanner.optional_name()
    return hint, join == "inner"


def _alias(scanner: Scanner) -> str | None:
    start = scanner.position
    name = scanner.optional_name()
    if name is not None and scanner.looking_at(":") and not scanner.looking_at("::"):
        scanner.position += 1
        return name
    scanner.position = start
    return None


def _field(scanner: Scanner) -> SelectField:
    alias = _alias(scanner)
    if scanner.looking_at("count()"):
        scanner.position += len("count()")
        cast = _cast(scanner)
        scanner.skip_space()
        _require_end(scanner, '"::"', '")"', '","')
        return SelectField(Field("*"), alias=alias, aggregate="count", aggregate_cast=cast)
    field = scanner.field()
    cast = _cast(scanner)
    aggregate = _aggregate(scanner)
    aggregate_cast = _cast(scanner)
    scanner.skip_space()
    _require_end(scanner, *_AFTER_FIELD)
    return SelectField(field, alias, cast, aggregate, aggregate_cast)


def _cast(scanner: Scanner) -> str | None:
    if not scanner.looking_at("::"):
        return None
    scanner.position += 2
    return scanner.word()


def _aggregate(scanner: Scanner) -> str | None:
    if scanner.looking_at("."):
        for aggregate in AGGREGATES:
            if scanner.looking_at(f".{aggregate}()"):
                scanner.position += len(aggregate) + 3
                return aggregate
    return None


def _require_end(scanner: Scanner, *labels: str) -> None:
    if not (scanner.at_end() or scanner.looking_at(")") or scanner.looking_at(",")):
        scanner.expect_end(*labels)
        raise scanner.error()
