"""Who computes aside stays on one core with its ticker, and only meanwhile."""

import os
import threading

import pytest

from undercroft.foundation.scheduling import Ticker

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux alone")


def cores_of(thread: int) -> set[int]:
    return os.sched_getaffinity(thread)


def test_both_are_on_one_core_while_it_computes():
    usual, ticker = cores_of(0), Ticker()
    with ticker.beside_me():
        mine = cores_of(0)
        tickers = [t for t in threading.enumerate() if t.name == "ticker"]
        assert len(mine) == 1
        assert mine in [cores_of(each.native_id or 0) for each in tickers]
    assert cores_of(0) == usual


def test_an_error_gives_the_cores_back():
    usual, ticker = cores_of(0), Ticker()
    with pytest.raises(ZeroDivisionError), ticker.beside_me():
        _ = 1 / 0
    assert cores_of(0) == usual
    with ticker.beside_me():  # and it goes on
        assert len(cores_of(0)) == 1


@pytest.mark.parametrize("refusal", [PermissionError, ValueError])
def test_a_system_that_refuses_has_its_way(
    monkeypatch: pytest.MonkeyPatch, refusal: type[Exception]
):
    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    usual, ticker = cores_of(0), Ticker()
    with ticker.beside_me():
        assert cores_of(0) == usual
