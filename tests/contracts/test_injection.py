"""sqlmap against every way in which a caller's words come near SQL."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.conftest import Shop

SQLMAP = Path(sys.prefix) / "peers" / "bin" / "sqlmap"
READS = "/rest/v1/goods?select=id,name&id=eq.1*&or=(name.eq.a*,name.like.b%2A)&order=name.asc*"
EMBEDS = "/rest/v1/shops?select=name,goods(name)&goods.id=gt.1*&goods.order=name*&goods.limit=2*"
# Not sign-in: a password hash for each of a thousand tries takes minutes.
AVAILABILITY = "/api/v1/auth/check-user-availability"
ROW = '{"id": 7*, "name": "a*"}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(READS, None, id="reads"),
        pytest.param(EMBEDS, None, id="embeds"),
        pytest.param("/rest/v1/goods?select=name*,count()*&limit=1*", None, id="aggregates"),
        pytest.param("/rest/v1/goods?columns=id,name*&on_conflict=id*", ROW, id="writes"),
        pytest.param("/rest/v1/rpc/nothing*?a=1*", None, id="functions"),
        pytest.param("/api/v1/users/me*", None, id="paths"),
        pytest.param(AVAILABILITY, '{"identifier": "a*"}', id="identifiers"),
        pytest.param("/api/v1/organizations?search=a*&sort=name*&cursor=x*", None, id="lists"),
    ],
)
def test_sqlmap_at_level_3_finds_nothing(shop: Shop, tmp_path: Path, path: str, body: str | None):
    """A star marks what sqlmap replaces."""
    finished = subprocess.run(
        [
            SQLMAP,
            f"--url={shop.url}{path}",
            *(
                ()
                if body is None
                else (f"--data={body}", "--headers=Content-Type: application/json")
            ),
            f"--header=Authorization: Bearer {shop.access_token}",
            "--level=3",
            "--risk=2",
            "--dbms=PostgreSQL",
            "--batch",
            "--threads=4",
            "--ignore-code=400,401,403,404,409,422",
            "--disable-coloring",
            f"--output-dir={tmp_path}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,  # it takes a lag of the machine for a finding, and looks closer
    )
    assert "all tested parameters do not appear to be injectable" in finished.stdout, (
        finished.stdout[-4000:]
    )
    assert not re.search(r"^5\d\d \(", finished.stdout, re.MULTILINE), finished.stdout[-1000:]
