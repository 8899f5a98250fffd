"""`/docs` and `/redoc`: the OpenAPI document for people. What they load comes from the package."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import Request, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse

from undercroft.foundation.access import Public
from undercroft.foundation.http.router import Router
from undercroft.foundation.problems import NotFound

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
    "favicon.png": "image/png",
}
AT = "/docs/assets"
# Both pages set styles from their scripts; every other answer keeps the strict policy.
POLICY = (
    "default-src 'none'; connect-src 'self'; worker-src blob:; base-uri 'none'; "
    "frame-ancestors 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; img-src 'self' data:"
)
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)

router = Router(tag="documentation")


@router.get("/", access=Public("documentation"), include_in_schema=False)
async def get_start() -> RedirectResponse:
    """Who opens the server in a browser finds what it can do."""
    return RedirectResponse("/docs")


@router.get("/docs", access=Public("documentation"), include_in_schema=False)
async def get_docs(request: Request) -> HTMLResponse:
    """Try requests out in the browser."""
    return _page(
        get_swagger_ui_html(
            openapi_url=request.app.openapi_url,
            title=request.app.title,
            swagger_js_url=f"{AT}/swagger-ui-bundle.js",
            swagger_css_url=f"{AT}/swagger-ui.css",
            swagger_favicon_url=f"{AT}/favicon.png",
        )
    )


@router.get("/redoc", access=Public("documentation"), include_in_schema=False)
async def get_redoc(request: Request) -> HTMLResponse:
    """Read the reference."""
    return _page(
        get_redoc_html(
            openapi_url=request.app.openapi_url,
            title=request.app.title,
            redoc_js_url=f"{AT}/redoc.standalone.js",
            redoc_favicon_url=f"{AT}/favicon.png",
            with_google_fonts=False,
        )
    )


@router.get(f"{AT}/{{name}}", access=Public("documentation"), include_in_schema=False)
async def get_docs_asset(name: str) -> Response:
    """A script or style of the two pages."""
    if name not in ASSETS:
        raise NotFound
    kept = {"Cache-Control": "public, max-age=86400"}
    return Response(_asset(name), headers=kept, media_type=ASSETS[name])


@cache
def _asset(name: str) -> bytes:
    return files("fastapi_offline").joinpath("static", name).read_bytes()


def _page(page: HTMLResponse) -> HTMLResponse:
    """Let exactly the page's own inline script run."""
    scripts = (_hash(script) for script in INLINE.findall(bytes(page.body).decode()))
    page.headers["Content-Security-Policy"] = POLICY.format(scripts=" ".join(scripts))
    return page


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
