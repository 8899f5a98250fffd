"""What 100,000 accounts and 10,000 organizations cost against 100 accounts.

The same requests before and after, one at a time: what each costs in CPU time of the server and
Postgres, which a busy machine changes less than the time it takes, and the ratio. Aim: at most 1.2.
"""

import argparse
import time
from collections.abc import Callable

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.undercroft import USER, Undercroft

FEW, MANY, ORGANIZATIONS, MEMBERS = 100, 100_000, 10_000, 10
AIM = 1.2
ROUNDS, ROUND_SECONDS = 3, 1.5
SEED = """
INSERT INTO auth.users (id, email, username, first_name, last_name, status, created_at)
SELECT gen_random_uuid(), 'person' || lpad(n::text, 6, '0') || '@example.com',
       'person' || lpad(n::text, 6, '0'), 'First' || n % 1000, 'Last' || n, 'active',
       now() - n * interval '1 second'
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
    ours = Undercroft(rows=1, workers=options.workers)
    try:
        _compare(console, ours)
    finally:
        ours.close()


def _compare(console: Console, ours: Undercroft) -> None:
    ours.sql(SEED.format(first=1, last=FEW))
    with httpx.Client(base_url=ours.url, timeout=60) as client:
        calls = _calls(ours, client)
        ours.sql("VACUUM ANALYZE")
        few = {name: _cost(ours, call) for name, call in calls.items()}
        ours.sql(SEED.format(first=FEW + 1, last=MANY))
        ours.sql(SEED_ORGANIZATIONS.format(organizations=ORGANIZATIONS, members=MEMBERS))
        ours.sql("VACUUM ANALYZE")
        many = {name: _cost(ours, call) for name, call in calls.items()}
    table = Table(
        title=f"Milliseconds of CPU, {FEW} and {MANY:,} accounts; aim: at most {AIM} times"
    )
    for column in ("", f"{FEW}", f"{MANY:,}", "ratio"):
        table.add_column(column, justify="right")
    for name in calls:
        ratio = many[name] / few[name]
        table.add_row(name, f"{few[name]:.2f}", f"{many[name]:.2f}", f"{ratio:.2f}")
    console.print(table)


def _calls(ours: Undercroft, client: httpx.Client) -> dict[str, Call]:
    api = "/api/v1"
    made = client.post(f"{api}/organizations", json={"name": "Ours"}, headers=ours.headers)
    organization = made.raise_for_status().json()["id"]
    ours.sql(
        "INSERT INTO auth.memberships (organization_id, user_id, role)"
        f" SELECT '{organization}', id, 'member' FROM auth.users WHERE username LIKE 'person%'"
        " ORDER BY username LIMIT 20"
    )

    def get(path: str, headers: dict[str, str], expected: int = 200) -> Call:
        def call() -> httpx.Response:
            answer = client.get(api + path, headers=headers)
            assert answer.status_code == expected, answer.text
            return answer

        return call

    return {
        "sign in": lambda: client.post(f"{api}/auth/login", json=USER).raise_for_status(),
        "users/me": get("/users/me", ours.headers),
        "member list": get(f"/organizations/{organization}/members", ours.headers),
        "my organizations": get("/organizations", ours.headers),
        "user list": get("/users", ours.service),
        "search, one found": get("/users?search=person000042", ours.service),
        "search, all found": get("/users?search=person", ours.service),
        "search, a name": get("/users?search=last42", ours.service),
        "search, none found": get("/users?search=zebra", ours.service),
        "permission refused": get("/users", ours.headers, 403),
    }


def _cost(ours: Undercroft, call: Call) -> float:
    """Milliseconds of CPU: the best of three rounds, since housekeeping runs beside some."""
    for _ in range(8):
        call()
    return min(_round(ours, call) for _ in range(ROUNDS))


def _round(ours: Undercroft, call: Call) -> float:
    before, calls = sum(ours.cpu()), 0
    end = time.perf_counter() + ROUND_SECONDS
    while time.perf_counter() < end:
        call()
        calls += 1
    return 1000 * (sum(ours.cpu()) - before) / calls
