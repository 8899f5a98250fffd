"""What 100,000 accounts and 10,000 organizations cost against 100 accounts.

Two servers, and the same requests to both in turns, one at a time: what each costs in CPU time of
the server and Postgres, and the ratio. So a neighbour's noise falls on both. Pages are of one size:
what more rows on a page cost says nothing about how many there are. Aim: at most 1.2.
"""

import argparse
import statistics
from collections.abc import Callable
from contextlib import ExitStack, closing

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.undercroft import USER, Undercroft

FEW, MANY, ORGANIZATIONS, MEMBERS = 100, 100_000, 10_000, 10
AIM = 1.2
ROUNDS, CALLS = 9, 100
SIGN_IN = "sign in"  # hashing takes its time: a tenth of the calls
# Names come in no order: who signed up when says nothing about what they are called.
SEED = """
INSERT INTO auth.users (id, email, username, first_name, last_name, status, created_at)
SELECT gen_random_uuid(), 'person' || lpad(n::text, 6, '0') || '@example.com',
       'person' || lpad(n::text, 6, '0'), 'First' || n % 1000, 'Last' || n * 7919 % 100000,
       'active', now() - n * interval '1 second'
  FROM generate_series({first}, {last}) n;
INSERT INTO auth.user_groups (user_id, group_id)
SELECT u.id, g.id FROM auth.users u, auth.groups g
 WHERE g.codename = 'user' AND u.username LIKE 'person%' ON CONFLICT DO NOTHING;
"""
SEED_ORGANIZATIONS = """
INSERT INTO auth.organizations (id, name, slug)
SELECT gen_random_uuid(), 'Organization ' || n, 'organization-' || n
  FROM generate_series(1, {organizations}) n;
INSERT INTO auth.memberships (organization_id, user_id, role)
SELECT o.id, u.id, 'member'
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM auth.organizations
         WHERE slug LIKE 'organization-%') o
  JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM auth.users
         WHERE username LIKE 'person%') u
    ON (u.n - 1) / {members} = o.n - 1
ON CONFLICT DO NOTHING;
"""
Call = Callable[[], httpx.Response]


def run(console: Console, options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        worlds = []
        for people in (FEW, MANY):
            ours = stack.enter_context(closing(Undercroft(rows=1, workers=options.workers)))
            client = stack.enter_context(httpx.Client(base_url=ours.url, timeout=60))
            worlds.append((ours, _populate(ours, client, people)))
        _compare(console, worlds)


def _compare(console: Console, worlds: list[tuple[Undercroft, dict[str, Call]]]) -> None:
    table = Table(
        title=f"Milliseconds of CPU, {FEW} and {MANY:,} accounts; aim: at most {AIM} times"
    )
    for column in ("", f"{FEW}", f"{MANY:,}", "ratio"):
        table.add_column(column, justify="right")
    for name in worlds[0][1]:
        calls = [(ours, calls[name]) for ours, calls in worlds]
        sizes = [len(call().json().get("items", ())) for _, call in calls]
        assert sizes[0] == sizes[1], f"{name}: pages of {sizes}"
        few, many = _costs(calls, CALLS // 10 if name == SIGN_IN else CALLS)
        table.add_row(name, f"{few:.2f}", f"{many:.2f}", f"{many / few:.2f}")
    console.print(table)


def _populate(ours: Undercroft, client: httpx.Client, people: int) -> dict[str, Call]:
    """Fill a server; return the requests to compare."""
    ours.sql(SEED.format(first=1, last=people))
    if people == MANY:
        ours.sql(SEED_ORGANIZATIONS.format(organizations=ORGANIZATIONS, members=MEMBERS))
    api = "/api/v1"
    made = client.post(f"{api}/organizations", json={"name": "Ours"}, headers=ours.headers)
    organization = made.raise_for_status().json()["id"]
    ours.sql(
        "INSERT INTO auth.memberships (organization_id, user_id, role)"
        f" SELECT '{organization}', id, 'member' FROM auth.users WHERE username LIKE 'person%'"
        " ORDER BY username LIMIT 20"
    )
    ours.sql("VACUUM ANALYZE")

    def get(path: str, headers: dict[str, str], expected: int = 200) -> Call:
        def call() -> httpx.Response:
            answer = client.get(api + path, headers=headers)
            assert answer.status_code == expected, answer.text
            return answer

        return call

    # A page of 20: out of 100 named so, and out of 1,111 among 100,000.
    name = "last" if people == FEW else "last42"
    return {
        SIGN_IN: lambda: client.post(f"{api}/auth/login", json=USER).raise_for_status(),
        "users/me": get("/users/me", ours.headers),
        "member list": get(f"/organizations/{organization}/members", ours.headers),
        "my organizations": get("/organizations", ours.headers),
        "user list": get("/users", ours.service),
        "search, one found": get("/users?search=person000042", ours.service),
        "search, all found": get("/users?search=person", ours.service),
        "search, a name": get(f"/users?search={name}", ours.service),
        "search, none found": get("/users?search=zebra", ours.service),
        "permission refused": get("/users", ours.headers, 403),
    }


def _costs(calls: list[tuple[Undercroft, Call]], number: int) -> list[float]:
    """Milliseconds of CPU of each: the median of rounds in turns."""
    rounds: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for (ours, call), costs in zip(calls, rounds, strict=True):
            before = sum(ours.cpu())
            for _ in range(number):
                call()
            costs.append(1000 * (sum(ours.cpu()) - before) / number)
    return [statistics.median(costs) for costs in rounds]
