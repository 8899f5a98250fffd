"""`undercroft db seed --demo`: a small world to look at, made through the public API.

Through the API, so that every rule holds and the activity log tells of it. What is there already is
found by its name and left alone: seeding twice changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

    from undercroft.foundation.settings import Settings

DOMAIN = "demo.example"
PASSWORD = "Copper-Lantern-42"  # noqa: S105 - printed for whoever looks at the demo
# Name, first name, last name, system groups, organization, role there.
PEOPLE: Sequence[tuple[str, str, str, tuple[str, ...], str, str]] = (
    ("ada", "Ada", "Lovelace", ("admin",), "engines", "owner"),
    ("charles", "Charles", "Babbage", (), "engines", "admin"),
    ("grace", "Grace", "Hopper", ("moderator",), "harbour", "owner"),
    ("jean", "Jean", "Bartik", (), "harbour", "admin"),
    ("klara", "Klára", "von Neumann", (), "harbour", "member"),
    ("mary", "Mary", "Kenneth Keller", ("vendor",), "engines", "member"),
    ("alan", "Alan", "Turing", (), "engines", "guest"),
    ("hedy", "Hedy", "Lamarr", (), "harbour", "guest"),
)
ORGANIZATIONS = {"engines": "Difference Engines", "harbour": "Harbour Watch"}
FEATURES = {"live_map": 100, "night_vision": 25, "new_dashboard": 0}
SITES = {
    "engines": ("Foundry", "Mill, north yard"),
    "harbour": ("East quay", "Container terminal", "Lighthouse"),
}
STREAMS = ("gate", "crane", "roof")
WARNINGS = ("Someone is not wearing a helmet.", "Someone is too close to a machine.")
AUTHORS: Mapping[
    str, tuple[int, Sequence[tuple[str, int, str]], Sequence[tuple[str, int, int]]]
] = {
    "Agnès Varda": (90, (("Cléo from 5 to 7", 1962, "drama"), ("Vagabond", 1985, "drama")), ()),
    "Akira Kurosawa": (88, (("Ikiru", 1952, "drama"), ("High and Low", 1963, "mystery")), ()),
    "Ida Lupino": (77, (("The Hitch-Hiker", 1953, "mystery"),), (("Tales at Midnight", 24, 2),)),
    "Jacques Tati": (75, (("Playtime", 1967, "comedy"), ("Mon Oncle", 1958, "comedy")), ()),
    "Rod Serling": (50, (), (("Strange Hours", 156, 5),)),
}
TABLE: Mapping[str, Any] = {
    "name": "demo_tasks",
    "description": "What there is to do; everybody may read it.",
    "columns": [
        {"name": "id", "type": "bigint", "primary_key": True, "identity": True},
        {"name": "title", "type": "text", "nullable": False},
        {"name": "done", "type": "boolean", "nullable": False, "default": "false"},
        {"name": "due", "type": "date"},
    ],
}
TASKS = (
    ("Oil the engine", True, "2026-01-12"),
    ("Check the lighthouse", False, "2026-12-01"),
    ("Count the containers", False, None),
)
BUCKET = "demo-files"
FILES: Mapping[str, tuple[str, bytes]] = {
    "readme.txt": ("text/plain", b"Everybody may read what is in this bucket.\n"),
    "tasks/lighthouse.md": ("text/markdown", b"# The lighthouse\n\nCheck the lamp twice a year.\n"),
    "tasks/engine.csv": ("text/csv", b"part,oiled\ncrank,yes\nvalve,no\n"),
}
WEBHOOK: Mapping[str, Any] = {
    "name": "Demo: a CRM that hears of new people",
    "url": "https://crm.demo.example/hooks/undercroft",
    "events": ["user.created", "organization.*"],
    "changes": [{"table": "demo_tasks"}],
    "is_enabled": False,
}
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cf500f0003860180"
    "5a347d6b0000000049454e44ae426082"
)


class DemoRefused(Exception):  # noqa: N818 - what the command prints
    """A step was refused; the text says which."""


async def seed(settings: "Settings") -> list[str]:
    """Make what is missing; returns lines that tell what there is to see."""
    import httpx2

    from undercroft.app import create_app
    from undercroft.identity.bootstrap import role_keys

    quiet = {
        "rate_limits": settings.rate_limits.model_copy(update={"enabled": False}),
        "observability": settings.observability.model_copy(update={"access_log": False}),
    }
    app = create_app(settings.model_copy(update=quiet))
    async with app.control.router.lifespan_context(app.control):
        async with app.parts.database.unit_of_work() as session:
            key = (await role_keys(session, app.parts.keyring))["service_role"]
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app),
            base_url="http://demo.undercroft",
            headers={"Authorization": f"Bearer {key}", "apikey": key},
            timeout=60,
        ) as client:
            return await Demo(client, settings).make()


class Demo:
    def __init__(self, client: "httpx2.AsyncClient", settings: "Settings") -> None:
        self._client = client
        self._prefix = settings.prefix
        self._apps = settings.apps
        self._ids: dict[str, str] = {}
        self.made = 0

    async def make(self) -> list[str]:
        await self._people()
        await self._organizations()
        await self._features()
        await self._table()
        await self._live()
        await self._files()
        await self._webhook()
        if "sites" in self._apps:
            await self._sites()
        if "catalog" in self._apps:
            await self._catalog()
        return self._told()

    def _told(self) -> list[str]:
        lines = [
            f"Made {self.made} things." if self.made else "Everything was there already.",
            "",
            f"Sign in with any of these and the password {PASSWORD}:",
        ]
        for name, first, last, groups, organization, role in PEOPLE:
            standing = f"{role} of {ORGANIZATIONS[organization]}"
            title = ", ".join((*groups, standing))
            lines.append(f"  {_address(name):<24} {first} {last}: {title}")
        lines += ["", "Look at:", "  GET /rest/v1/demo_tasks?done=is.false   (with the anon key)"]
        lines.append(f"  GET /storage/v1/object/public/{BUCKET}/tasks/lighthouse.md")
        lines.append(f"  GET {self._prefix}/webhooks, {self._prefix}/dashboard/overview   (as ada)")
        if "catalog" in self._apps:
            lines.append(f"  GET {self._prefix}/movies?search=play")
        if "sites" in self._apps:
            lines.append(f"  GET {self._prefix}/sites   (as grace)")
        if off := [name for name in ("sites", "streams", "catalog") if name not in self._apps]:
            lines.append(f"  Off: {', '.join(off)}. UNDERCROFT_APPS=sites,streams,catalog")
        return lines

    async def _people(self) -> None:
        for name, first, last, groups, _, _ in PEOPLE:
            address = _address(name)
            found = await self._get("/users", search=address)
            known = [one for one in found["items"] if one["email"] == address]
            if known:
                self._ids[name] = known[0]["id"]
                continue
            body: dict[str, Any] = {"identifier": address, "password": PASSWORD}
            made = await self._send("POST", "/users", body)
            self._ids[name] = made["id"]
            names = {"first_name": first, "last_name": last}
            await self._send("PATCH", f"/users/{made['id']}", names)
            if groups:
                body = {"groups": ["user", *groups]}
                await self._send("POST", f"/users/{made['id']}/groups", body)
            await self._visit(address)

    async def _visit(self, address: str) -> None:
        """So that sessions, sign-ins and the activity log have something to show."""
        body = {"identifier": address, "password": PASSWORD}
        headers = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
        answer = await self._client.post(f"{self._prefix}/auth/login", json=body, headers=headers)
        _check(answer, "sign in")

    async def _organizations(self) -> None:
        for slug, name in ORGANIZATIONS.items():
            found = await self._get("/organizations", search=f"demo-{slug}", all=True)
            known = [one for one in found["items"] if one["slug"] == f"demo-{slug}"]
            if known:
                self._ids[slug] = known[0]["id"]
                continue
            members = [(one[0], one[5]) for one in PEOPLE if one[4] == slug]
            owner = next(self._ids[person] for person, role in members if role == "owner")
            body = {"name": name, "slug": f"demo-{slug}", "owner_id": owner}
            made = await self._send("POST", "/organizations", body)
            self._ids[slug] = made["id"]
            for person, role in members:
                if role != "owner":
                    body = {"user_id": self._ids[person], "role": role}
                    await self._send("POST", f"/organizations/{made['id']}/members", body)

    async def _features(self) -> None:
        known = {one["name"] for one in (await self._get("/features", limit=100))["items"]}
        for name, percentage in FEATURES.items():
            if name not in known:
                made = await self._send("POST", "/features", {"name": name})
                grants = {"percentage": percentage, "organizations": [self._ids["harbour"]]}
                await self._send("PUT", f"/features/{made['id']}/grants", grants)

    async def _table(self) -> None:
        path = f"{self._prefix}/tables/{TABLE['name']}"
        if (await self._client.get(path)).status_code == 200:
            return
        await self._send("POST", "/tables", TABLE)
        roles = ["anon", "authenticated"]
        policy = {"name": "everybody reads", "command": "select", "roles": roles, "using": "true"}
        await self._send("POST", f"/tables/{TABLE['name']}/policies", policy)
        rows = [{"title": title, "done": done, "due": due} for title, done, due in TASKS]
        answer = await self._client.post(f"/rest/v1/{TABLE['name']}", json=rows)
        _check(answer, "rows")
        self.made += len(rows)

    async def _live(self) -> None:
        """The tasks are a live table: subscribers hear of their changes."""
        path = f"/realtime/tables/{TABLE['name']}"
        live = {entry["name"] for entry in (await self._get("/realtime/tables"))["items"]}
        if TABLE["name"] not in live:
            await self._send("PUT", path)

    async def _files(self) -> None:
        known = await self._client.get(f"/storage/v1/bucket/{BUCKET}")
        if known.is_success:
            return
        bucket = {"id": BUCKET, "name": BUCKET, "public": True, "file_size_limit": 1_000_000}
        _check(await self._client.post("/storage/v1/bucket", json=bucket), "bucket")
        for name, (kind, content) in FILES.items():
            answer = await self._client.post(
                f"/storage/v1/object/{BUCKET}/{name}",
                content=content,
                headers={"Content-Type": kind},
            )
            _check(answer, name)
        self.made += 1 + len(FILES)

    async def _webhook(self) -> None:
        """Switched off: nobody answers at its address. What it missed can be looked at."""
        known = {one["name"] for one in (await self._get("/webhooks", limit=100))["items"]}
        if WEBHOOK["name"] not in known:
            await self._send("POST", "/webhooks", WEBHOOK)

    async def _sites(self) -> None:
        for slug, names in SITES.items():
            organization = self._ids[slug]
            found = await self._get("/sites", organization_id=organization, limit=100)
            known = {one["name"] for one in found["items"]}
            for number, name in enumerate(names):
                if name not in known:
                    body = {"name": name, "organization_id": organization}
                    made = await self._send("POST", "/sites", body)
                    await self._fill_site(made["id"], slug, number)

    async def _fill_site(self, site_id: str, slug: str, number: int) -> None:
        for name, _, _, _, organization, role in PEOPLE:
            if organization == slug and role in {"member", "guest"}:
                await self._send("PUT", f"/sites/{site_id}/users/{self._ids[name]}")
        for stream in STREAMS[: 1 + number]:
            if "streams" in self._apps:
                new = {"name": stream, "video_url": f"rtsp://10.0.{number}.7/{stream}"}
                await self._send("POST", f"/sites/{site_id}/streams", new)
        for hour, warning in enumerate(WARNINGS, 9 + number):
            body: dict[str, Any] = {
                "stream_name": STREAMS[0],
                "detected_at": f"2026-11-{20 + number:02}T{hour:02}:30:00Z",
                "warnings": [warning],
                "detections": [{"label": "person", "box": [12, 30, 88, 190]}],
            }
            seen = await self._send("POST", f"/sites/{site_id}/violations", body)
            path = f"{self._prefix}/sites/{site_id}/violations/{seen['id']}/image"
            answer = await self._client.put(
                path, content=PIXEL, headers={"Content-Type": "image/png"}
            )
            _check(answer, "image")

    async def _catalog(self) -> None:
        for name, (age, movies, series) in AUTHORS.items():
            found = await self._get("/authors", search=name)
            if any(one["name"] == name for one in found["items"]):
                continue
            author = (await self._send("POST", "/authors", {"name": name, "age": age}))["id"]
            for title, year, genre in movies:
                body = {"title": title, "year_of_issue": year, "genre": genre, "author_id": author}
                await self._send("POST", "/movies", body)
            for title, episodes, seasons in series:
                body = {"title": title, "episodes": episodes, "seasons": seasons}
                body |= {"genre": "mystery", "author_id": author}
                await self._send("POST", "/series", body)

    async def _get(self, path: str, **query: Any) -> Any:
        answer = await self._client.get(f"{self._prefix}{path}", params=query)
        _check(answer, path)
        return answer.json()

    async def _send(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._client.request(method, f"{self._prefix}{path}", json=body)
        _check(answer, f"{method} {path}")
        self.made += method != "PATCH"
        return answer.json() if answer.content else None


def _address(name: str) -> str:
    return f"{name}@{DOMAIN}"


def _check(answer: "httpx2.Response", what: str) -> None:
    if answer.is_error:
        raise DemoRefused(f"{what}: {answer.status_code} {answer.text}")
