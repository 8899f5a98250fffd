"""The grammar of the query string, and where its errors point."""

import time

import pytest

from undercroft.data.rest.errors import RestError
from undercroft.data.rest.plan.hints import closest
from undercroft.data.rest.query_string import canonical, read_query, split_pairs
from undercroft.data.rest.ranges import Window, top_window
from undercroft.data.rest.syntax.ast import (
    Field,
    Filter,
    JsonStep,
    Logic,
    Operation,
    OrderTerm,
    SelectEmbed,
    SelectField,
)
from undercroft.data.rest.syntax.filters import (
    parse_key,
    parse_logic,
    parse_logic_key,
    parse_operation,
)
from undercroft.data.rest.syntax.order import parse_order
from undercroft.data.rest.syntax.select import parse_columns, parse_select


def key(name: str, *, text: bool = False) -> JsonStep:
    return JsonStep(name, is_index=False, as_text=text)


def index(number: str, *, text: bool = False) -> JsonStep:
    return JsonStep(number, is_index=True, as_text=text)


SELECT = {
    "": (),
    "*": (SelectField(Field("*")),),
    "a,b": (SelectField(Field("a")), SelectField(Field("b"))),
    " a , b ": (SelectField(Field("a")), SelectField(Field("b"))),
    "x:a": (SelectField(Field("a"), alias="x"),),
    "a::int": (SelectField(Field("a"), cast="int"),),
    "x:a::double precision": (SelectField(Field("a"), "x", "double precision"),),
    "a-b": (SelectField(Field("a-b")),),
    '"a,b"': (SelectField(Field("a,b")),),
    '"a\\"b"': (SelectField(Field('a"b')),),
    "a->b->>c": (SelectField(Field("a", (key("b"), key("c", text=True)))),),
    "a->0->>-1": (SelectField(Field("a", (index("0"), index("-1", text=True)))),),
    "a->!@#$%^&*_b": (SelectField(Field("a", (key("!@#$%^&*_b"),))),),
    "a->b-c": (SelectField(Field("a", (key("b-c"),))),),
    'a->"b.c"': (SelectField(Field("a", (key("b.c"),))),),
    "a->12x": (SelectField(Field("a", (key("12x"),))),),
    "count()": (SelectField(Field("*"), aggregate="count"),),
    "n:count()::int": (SelectField(Field("*"), "n", aggregate="count", aggregate_cast="int"),),
    "a::int.sum()::text": (SelectField(Field("a"), None, "int", "sum", "text"),),
    "a->b.max()": (SelectField(Field("a", (key("b"),)), aggregate="max"),),
    "e()": (SelectEmbed("e", ()),),
    "e(a,f(b))": (
        SelectEmbed("e", (SelectField(Field("a")), SelectEmbed("f", (SelectField(Field("b")),)))),
    ),
    "x:e!h!inner(a)": (
        SelectEmbed("e", (SelectField(Field("a")),), alias="x", hint="h", inner=True),
    ),
    "e!inner!h(a)": (SelectEmbed("e", (SelectField(Field("a")),), hint="h", inner=True),),
    "e!left(a)": (SelectEmbed("e", (SelectField(Field("a")),)),),
    "...e!h(a)": (SelectEmbed("e", (SelectField(Field("a")),), hint="h", spread=True),),
}


@pytest.mark.parametrize("text", SELECT)
def test_select(text: str):
    assert parse_select(text) == SELECT[text]


OPERATIONS = {
    "eq.1": (Operation("eq"), "1"),
    "eq.": (Operation("eq"), ""),
    "eq.a.b": (Operation("eq"), "a.b"),
    "not.eq.1": (Operation("eq", negated=True), "1"),
    "eq.not.1": (Operation("eq"), "not.1"),
    "gt(any).{1}": (Operation("gt", quantifier="any"), "{1}"),
    "not.like(all).{a*}": (Operation("like", True, "all"), "{a%}"),
    "like.*a*": (Operation("like"), "%a%"),
    "match.a*": (Operation("match"), "a*"),
    "is.null": (Operation("is", keyword="null"), None),
    "not.is.Not_Null": (Operation("is", True, keyword="not_null"), None),
    "in.(1,2)": (Operation("in"), '{"1","2"}'),
    'in.("a,b","c)","d\\"e","f\\\\g")': (Operation("in"), '{"a,b","c)","d\\"e","f\\\\g"}'),
    "in.()": (Operation("in"), "{}"),
    "in.(,)": (Operation("in"), '{"",""}'),
    "in.( a ,b)": (Operation("in"), '{"a ","b"}'),
    "fts.a": (Operation("fts"), "a"),
    "wfts(english).a b": (Operation("wfts", language="english"), "a b"),
    "isdistinct.1": (Operation("isdistinct"), "1"),
}


@pytest.mark.parametrize("text", OPERATIONS)
def test_operation(text: str):
    assert parse_operation(text) == OPERATIONS[text]


def test_key():
    assert parse_key("a") == ((), Field("a"))
    assert parse_key("e.f.a->>b") == (("e", "f"), Field("a", (key("b", text=True),)))
    assert parse_key('e."a.b"') == (("e",), Field("a.b"))
    assert parse_logic_key("e.not.or") == (("e",), True, "or")
    assert parse_logic_key("and") == ((), False, "and")


@pytest.mark.parametrize("text", ["id::text", '"id"x', "id)", "id!x", 'id"x"'])
def test_what_follows_the_name_of_a_filter_is_left_alone(text: str):
    """As PostgREST does, whose grammar does not ask for an end there."""
    assert parse_key(text) == ((), Field("id"))


def test_logic():
    values: list[str] = []
    tree = parse_logic("or", "(a.eq.1,not.and(b.not.in.(2,3),c.is.null))", values, negated=True)
    assert tree == Logic(
        "or",
        True,
        (
            Filter(Field("a"), Operation("eq"), 0),
            Logic(
                "and",
                True,
                (
                    Filter(Field("b"), Operation("in", negated=True), 1),
                    Filter(Field("c"), Operation("is", keyword="null"), None),
                ),
            ),
        ),
    )
    assert values == ["1", '{"2","3"}']


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('(a.eq."x,y")', "x,y"),
        ("(a.cs.{1,2})", "{1,2}"),
        ("(a.eq.x y)", "x y"),
        ('(a.eq."x"y)', '"x"y'),
        ("(a.eq.)", ""),
    ],
)
def test_value_in_a_tree(text: str, value: str):
    values: list[str] = []
    parse_logic("and", text, values, negated=False)
    assert values == [value]


def test_order():
    assert parse_order("a, b.desc ,c.nullsfirst,d->e.asc.nullslast,f(g).desc") == (
        OrderTerm(Field("a")),
        OrderTerm(Field("b"), "desc"),
        OrderTerm(Field("c"), None, "nullsfirst"),
        OrderTerm(Field("d", (key("e"),)), "asc", "nullslast"),
        OrderTerm(Field("g"), "desc", None, "f"),
    )


def test_columns():
    assert parse_columns('a, "b c",d-e') == ("a", "b c", "d-e")


END = "or end of input"
FIELD = 'letter, digit, "-", "->>", "->", "::", ".", ")", ","'
A_NAME = "field name (* or [a..z0..9_$])"
NAME = 'letter, digit, "-", "->>", "->"'
SELECT_ERRORS = {
    "id,clients(name[])": (16, f"unexpected '[' expecting {FIELD} {END}"),
    "data->>-78xy": (11, f"unexpected 'x' expecting digit, \"->\", \"::\", \".\", \",\" {END}"),
    "data->>--34": (9, 'unexpected "-" expecting digit'),
    "data->>-xy-4": (9, 'unexpected "x" expecting digit'),
    "data->(a": (
        7,
        'unexpected "(" expecting "-", digit or any non reserved character different from: .,>()',
    ),
    "name!hint": (5, f"unexpected '!' expecting {FIELD} {END}"),
    "*!hint": (2, f"unexpected '!' expecting \")\", \",\" {END}"),
    "name::": (7, "unexpected end of input expecting letter or digit"),
    "id,": (4, "unexpected end of input expecting field name (* or [a..z0..9_$])"),
}  # fmt: skip
ORDER_ERRORS = {
    "id.ac": (4, 'unexpected "c" expecting "asc", "desc", "nullsfirst" or "nullslast"'),
    "id.descc": (8, f"unexpected 'c' expecting delimiter (.), \",\" {END}"),
    "id.nulsfist": (4, 'unexpected "n" expecting "asc", "desc", "nullsfirst" or "nullslast"'),
    "id.nullslasttt": (13, f"unexpected 't' expecting \",\" {END}"),
    "id.asc.nlsfst": (8, 'unexpected "l" expecting "nullsfirst" or "nullslast"'),
    "id.asc.nullslasttt": (17, f"unexpected 't' expecting \",\" {END}"),
    "clients(name,id)": (
        8,
        f"unexpected '(' expecting {NAME}, delimiter (.), \",\" {END}",
    ),
}  # fmt: skip
FILTER_ERRORS = {
    "noop.0": (1, 'unexpected "o" expecting "not" or operator (eq, gt, ...)'),
    "val": (1, 'unexpected "v" expecting "not" or operator (eq, gt, ...)'),
    "fts().value": (5, 'unexpected ")" expecting operator (eq, gt, ...)'),
    "eq().value": (4, 'unexpected ")" expecting operator (eq, gt, ...)'),
    "is().value": (3, 'unexpected "(" expecting operator (eq, gt, ...)'),
    "in().value": (3, 'unexpected "(" expecting operator (eq, gt, ...)'),
    "is.maybe": (4, 'unexpected "m" expecting isVal: (null, not_null, true, false, unknown)'),
    "in.1,2": (4, 'unexpected "1" expecting "("'),
}
TREE_ERRORS = {
    "()": (
        4,
        f'unexpected ")" expecting {A_NAME}, negation operator (not) or logic operator (and, or)',
    ),
    "(id.in.1,2,id.eq.3)": (10, 'unexpected "1" expecting "("'),
    ")(": (3, 'unexpected ")" expecting "("'),
    "(id.eq.1,not.xor(id.eq.2,id.eq.3))": (
        16,
        'unexpected "x" expecting logic operator (and, or)',
    ),
}


def check_error(error: RestError, title: str, column: int, details: str) -> None:
    assert (error.status, error.code) == (400, "PGRST100")
    assert error.message == f'"{title}" (line 1, column {column})'
    assert error.details == details


@pytest.mark.parametrize("text", SELECT_ERRORS)
def test_select_error(text: str):
    with pytest.raises(RestError) as caught:
        parse_select(text)
    check_error(caught.value, f"failed to parse select parameter ({text})", *SELECT_ERRORS[text])


@pytest.mark.parametrize("text", ORDER_ERRORS)
def test_order_error(text: str):
    with pytest.raises(RestError) as caught:
        parse_order(text)
    check_error(caught.value, f"failed to parse order ({text})", *ORDER_ERRORS[text])


@pytest.mark.parametrize("text", FILTER_ERRORS)
def test_filter_error(text: str):
    with pytest.raises(RestError) as caught:
        parse_operation(text)
    check_error(caught.value, f"failed to parse filter ({text})", *FILTER_ERRORS[text])


@pytest.mark.parametrize("text", TREE_ERRORS)
def test_tree_error(text: str):
    with pytest.raises(RestError) as caught:
        parse_logic("or", text, [], negated=False)
    check_error(caught.value, f"failed to parse logic tree ({text})", *TREE_ERRORS[text])


def test_deep_nesting_is_refused():
    for parse in (
        lambda: parse_select("a(" * 5000 + ")" * 5000),
        lambda: parse_logic("or", "(and" * 5000 + "(a.eq.1)" + ")" * 5000, [], negated=False),
    ):
        with pytest.raises(RestError) as caught:
            parse()
        assert caught.value.code == "PGRST100"


def test_shape_and_values_are_apart():
    one = read_query(split_pairs(b"select=a&id=eq.1&or=(b.eq.2,c.in.(3))&limit=4"))
    other = read_query(split_pairs(b"select=a&id=eq.x&or=(b.eq.y,c.in.(z))&limit=5"))
    assert one.shape == other.shape
    assert hash(one.shape) == hash(other.shape)
    assert (one.values, other.values) == (["1", "2", '{"3"}'], ["x", "y", '{"z"}'])


def test_arguments_are_told_from_filters():
    pairs = split_pairs(b"a=1&b=eq.2&c=not.an.op")
    query = read_query(pairs[:2], calls_function=True)
    assert query.arguments == [("a", "1")]
    assert query.filter_keys == ("b",)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ""),
        (b"id=eq.1", "id=eq.1"),
        (b"b=2&a=1", "a=1&b=2"),
        (b"a=1&c=3&b=2&d", "a=1&b=2&c=3&d="),
        (b"a=x,y", "a=x%2Cy"),
        (b"a=1&a=2", "a=1,2"),
        (b"a=x+y", "a=x%20y"),
    ],
)
def test_canonical(raw: bytes, expected: str):
    assert canonical(raw) == expected


@pytest.mark.parametrize(
    ("limit", "offset", "header", "expected"),
    [
        (None, None, None, Window()),
        ("5", None, None, Window(0, 5)),
        ("5", "2", None, Window(2, 5)),
        (None, "2", None, Window(2)),
        ("0", None, None, Window(0, 0)),
        ("many", None, None, Window()),
        (None, None, "0-9", Window(0, 10)),
        (None, None, "5-", Window(5)),
        ("3", None, "2-9", Window(2, 1)),
        (None, None, "-5", Window()),
        (None, None, "9" * 5000 + "-", Window(10**50)),
        ("9" * 5000, "9" * 5000, None, Window(10**50, 10**50)),
    ],
)
def test_top_window(limit: str | None, offset: str | None, header: str | None, expected: Window):
    assert top_window(limit, offset, header) == expected


@pytest.mark.parametrize(
    ("limit", "offset", "header"),
    [("-1", None, None), ("0", "1", None), (None, None, "5-2"), ("2", None, "5-9")],
)
def test_empty_window(limit: str | None, offset: str | None, header: str | None):
    with pytest.raises(RestError) as caught:
        top_window(limit, offset, header)
    assert (caught.value.status, caught.value.code) == (416, "PGRST103")


@pytest.mark.parametrize(
    ("name", "candidates", "expected"),
    [
        ("bokos", ["books", "authors"], "books"),
        ("Books", ["books"], "books"),
        ("boks", ["b", "books"], "books"),
        ("xyz", ["books"], None),
        ("", ["books"], None),
        ("books", [], None),
        ("order", [*(f"orders_of_{year}" for year in range(1900, 2000)), "orders"], "orders"),
        ("books", [*(f"table{number}" for number in range(600)), "book"], None),
    ],
)
def test_closest(name: str, candidates: list[str], expected: str | None):
    assert closest(name, candidates) == expected


def test_closest_does_not_take_long():
    names = [f"table_{number:014}" for number in range(500)]
    started = time.process_time()
    closest("table_of_everything" * 500, names)
    closest("table_of_everything", names)
    assert time.process_time() - started < 0.2
