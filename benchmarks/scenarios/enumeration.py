"""Does the time of an answer tell whether an account exists?

Known and unknown identifiers in random order, one request at a time, no identifier twice. Beside
the medians stands the 99 % interval of their difference (bootstrap) and how often a guess by one
answer's time is right (Mann-Whitney; 50 % is chance).
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.undercroft import Undercroft

EACH = 120
RESAMPLES = 2000
AUTH = "/api/v1/auth"
PASSWORD = "Correct-Horse-42"
KNOWN = """
INSERT INTO auth.users (id, email, status, password_hash, email_verified_at)
SELECT gen_random_uuid(), 'known-{name}-' || n || '@example.com', 'active', password_hash, now()
  FROM auth.users, generate_series(1, {count}) n WHERE email = 'ada@example.com'
"""


@dataclass(frozen=True)
class Question:
    """What a stranger may ask about an identifier. Once each, so that no limit is met."""

    name: str
    path: str
    body: Callable[[str], dict[str, str]]
    each: int = EACH


QUESTIONS = (
    Question("login", "login", lambda i: {"identifier": i, "password": "Wrong-Horse-42"}),
    Question("register", "register", lambda i: {"identifier": i, "password": PASSWORD}),
    Question("reset", "password-reset/request", lambda i: {"identifier": i}),
    Question("code", "send-one-time-password", lambda i: {"identifier": i, "channel": "email"}),
    Question(
        "code-sign-in",
        "login-with-otp",
        lambda i: {"identifier": i, "channel": "email", "otp": "000000"},
    ),
)


@dataclass
class Times:
    known: list[float] = field(default_factory=list)
    unknown: list[float] = field(default_factory=list)

    @property
    def difference(self) -> tuple[float, float]:
        """99 % interval of the difference of medians."""
        found = sorted(
            statistics.median(random.choices(self.known, k=len(self.known)))
            - statistics.median(random.choices(self.unknown, k=len(self.unknown)))
            for _ in range(RESAMPLES)
        )
        return found[int(0.005 * RESAMPLES)], found[int(0.995 * RESAMPLES)]

    @property
    def guessed(self) -> float:
        """Share of pairs that their times put in one order; at least one half."""
        smaller = sum(k < u for k in self.known for u in self.unknown)
        share = smaller / (len(self.known) * len(self.unknown))
        return max(share, 1 - share)


def run(console: Console, options: argparse.Namespace) -> None:
    ours = Undercroft(rows=1, workers=options.workers)
    try:
        _ask_everything(console, ours)
    finally:
        ours.close()


def _ask_everything(console: Console, ours: Undercroft) -> None:
    table = Table(title="One answer at a time, milliseconds")
    for column in ("", "known", "unknown", "difference, 99 %", "guessed right"):
        table.add_column(column, justify="right")
    with httpx.Client(base_url=ours.url, timeout=30) as client:
        for question in QUESTIONS:
            ours.sql(KNOWN.format(name=question.name, count=question.each + 5))
            times = _ask(client, question)
            low, high = times.difference
            table.add_row(
                question.name,
                f"{statistics.median(times.known):.2f}",
                f"{statistics.median(times.unknown):.2f}",
                f"{low:+.2f} to {high:+.2f}" + ("" if low <= 0 <= high else " [red]told[/red]"),
                f"{100 * times.guessed:.0f} %",
            )
    console.print(table)


def _ask(client: httpx.Client, question: Question) -> Times:
    times = Times()
    for _ in range(5):  # connections and plans are warm
        _time(client, question, f"warm-{random.random()}@example.com")
    order = [n % 2 == 0 for n in range(2 * question.each)]
    random.shuffle(order)
    for word, n in _numbered(order):
        name = f"{word}-{question.name}-{n}@example.com"
        spent = _time(client, question, name)
        (times.known if word == "known" else times.unknown).append(spent)
    return times


def _numbered(order: Sequence[bool]) -> list[tuple[str, int]]:
    counts = {"known": 0, "other": 0}
    found = []
    for known in order:
        word = "known" if known else "other"
        counts[word] += 1
        found.append((word, counts[word]))
    return found


def _time(client: httpx.Client, question: Question, identifier: str) -> float:
    started = time.perf_counter()
    answer = client.post(f"{AUTH}/{question.path}", json=question.body(identifier))
    spent = 1000 * (time.perf_counter() - started)
    if answer.status_code >= 500 or answer.status_code == 429:
        raise SystemExit(f"{question.name}: {answer.status_code} {answer.text}")
    return spent
