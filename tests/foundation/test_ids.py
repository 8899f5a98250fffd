"""Identifiers: in the order of their time, and never the same twice."""

import os

from undercroft.foundation.ids import new_id


def test_ids_are_uuids_of_version_seven_that_differ() -> None:
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(7, made[0].variant)}
    assert len({one.int & (1 << 62) - 1 for one in made}) == len(made)


def test_a_forked_process_makes_other_ids() -> None:
    new_id()  # what is random is asked for in advance
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_id().bytes)
        os._exit(0)
    os.waitpid(child, 0)
    random = slice(8, 16)
    ours = {new_id().bytes[random] for _ in range(100)}
    assert os.read(reading, 16)[random] not in ours
    os.close(reading)
    os.close(writing)
