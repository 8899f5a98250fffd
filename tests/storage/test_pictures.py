"""Profile pictures: drawn anew, replaced and removed."""

import asyncio
import io

import pytest
from PIL import Image

from tests.storage.media_support import API, PICTURE, PNG, form, objects, picture, served
from tests.webhooks.conftest import Office


class TestPictures:
    async def test_a_picture_is_drawn_anew_and_shown(self, place: Office):
        person = await place.person()
        exif = Image.Exif()
        exif[0x010F] = "Camera of a spy"
        sent = picture(900, "JPEG", exif=exif, comment=b"secret place")
        made = await person.post(PICTURE, **form(sent, "me.jpg", "image/jpeg"))
        assert made.status_code == 200, made.text
        url = made.json()["picture_url"]
        for path in (f"{API}/users/me", f"{API}/settings/profile"):
            assert (await person.get(path)).json()["picture_url"] == url
        kept = await served(place, url)
        assert kept
        assert b"Camera" not in kept
        assert b"secret" not in kept
        with Image.open(io.BytesIO(kept)) as drawn:
            assert (drawn.format, drawn.size) == ("WEBP", (512, 512))

    async def test_a_new_one_takes_the_place_of_the_old(self, place: Office):
        person = await place.person()
        races = [person.post(PICTURE, **form()) for _ in range(8)]
        urls = {one.json()["picture_url"] for one in await asyncio.gather(*races)}
        assert len(urls) == 8
        now = (await person.get(f"{API}/users/me")).json()["picture_url"]
        assert [url for url in urls if await served(place, url)] == [now]
        assert await objects(place, person.id) == 1

    async def test_it_can_be_removed(self, place: Office):
        person = await place.person()
        url = (await person.post(PICTURE, **form())).json()["picture_url"]
        for _ in range(2):
            assert (await person.delete(PICTURE)).status_code == 204
        assert (await person.get(f"{API}/users/me")).json()["picture_url"] is None
        assert await served(place, url) is None

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"not a picture", "picture_unreadable"),
            (b"", "picture_unreadable"),
            (picture(200, "JPEG")[:600], "picture_unreadable"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "picture_unreadable"),
            (picture(50, "BMP"), "picture_unreadable"),
            (picture(2000), "picture_too_large"),
            (PNG + bytes(220_000), "file_too_large"),
        ],
        ids=["text", "empty", "cut", "svg", "bmp", "pixels", "bytes"],
    )
    async def test_what_is_no_picture_is_refused(self, place: Office, content: bytes, code: str):
        person = await place.person()
        refused = await person.post(PICTURE, **form(content))
        assert refused.json()["code"] == code, refused.text
        assert await objects(place, person.id) == 0

    async def test_an_animation_becomes_its_first_picture(self, place: Office):
        frames = [Image.new("P", (30, 30), n) for n in range(5)]
        moving = io.BytesIO()
        frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
        person = await place.person()
        made = await person.post(PICTURE, **form(moving.getvalue(), "a.gif", "image/gif"))
        kept = await served(place, made.json()["picture_url"])
        assert kept
        with Image.open(io.BytesIO(kept)) as drawn:
            assert getattr(drawn, "n_frames", 1) == 1
