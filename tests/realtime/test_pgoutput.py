"""The protocol of Postgres' output plugin, read from bytes that nobody has to believe."""

import struct
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from undercroft.realtime.changes.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Delete,
    Insert,
    Message,
    Relation,
    Truncate,
    Unreadable,
    Update,
    read_message,
)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
values = st.one_of(st.none(), texts, st.just(UNCHANGED))
rows = st.lists(values, max_size=6).map(tuple)


def packed(row):
    parts = [struct.pack(">H", len(row))]
    for value in row:
        if value is None:
            parts.append(b"n")
        elif value is UNCHANGED:
            parts.append(b"u")
        else:
            data = value.encode()
            parts.append(b"t" + struct.pack(">I", len(data)) + data)
    return b"".join(parts)


@given(rows, rows, st.sampled_from(["K", "O", None]))
def test_rows_come_out_as_they_went_in(old, new, mark):
    head = struct.pack(">I", 7)
    assert read_message(b"I" + head + b"N" + packed(new)) == Insert(7, new)
    before = mark.encode() + packed(old) if mark else b""
    update = Update(7, new, old if mark else None, mark == "K")
    assert read_message(b"U" + head + before + b"N" + packed(new)) == update
    if mark:
        assert read_message(b"D" + head + before) == Delete(7, old, mark == "K")


@given(texts.filter(bool), texts, st.lists(st.tuples(texts, st.booleans()), max_size=5))
def test_relations_come_out_as_they_went_in(schema, name, columns):
    data = b"R" + struct.pack(">I", 9) + schema.encode() + b"\0" + name.encode() + b"\0d"
    data += struct.pack(">H", len(columns))
    for column, in_key in columns:
        data += bytes([in_key]) + column.encode() + b"\0" + struct.pack(">Ii", 25, -1)
    expected = tuple(Column(column, 25, in_key) for column, in_key in columns)
    assert read_message(data) == Relation(9, schema, name, "d", expected)


def test_transactions_and_truncates_are_read():
    begin = read_message(b"B" + struct.pack(">QqI", 16, 0, 3))
    assert isinstance(begin, Begin)
    assert (begin.lsn, begin.committed_at.isoformat()) == (16, "2000-01-01T00:00:00+00:00")
    assert read_message(b"T" + struct.pack(">IBII", 2, 1, 5, 6)) == Truncate((5, 6))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data):
    with suppress(Unreadable):
        assert isinstance(read_message(data), Message)


@given(st.binary(max_size=60), st.sampled_from("BCRIUDTYOM"))
def test_any_bytes_of_a_kind_are_a_message_or_refused(data, kind):
    with suppress(Unreadable):
        assert isinstance(read_message(kind.encode() + data), Message)
