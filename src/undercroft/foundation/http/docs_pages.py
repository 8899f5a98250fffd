"""`/docs` and `/redoc`: the OpenAPI document for people. Their scripts come from a CDN."""

from fastapi import Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse

from undercroft.foundation.access import Public
from undercroft.foundation.http.router import Router

# These two pages alone may run what they need; every other answer keeps the strict policy.
POLICY = (
    "default-src 'none'; connect-src 'self'; worker-src blob:; base-uri 'none'; "
    "frame-ancestors 'none'; script-src https://cdn.jsdelivr.net 'unsafe-inline'; "
    "style-src https://cdn.jsdelivr.net https://fonts.googleapis.com 'unsafe-inline'; "
    "font-src https://fonts.gstatic.com; img-src 'self' data: https:"
)

router = Router(tag="documentation")


@router.get("/docs", access=Public("documentation"), include_in_schema=False)
async def get_docs(request: Request) -> HTMLResponse:
    """Try requests out in the browser."""
    page = get_swagger_ui_html(openapi_url=request.app.openapi_url, title=request.app.title)
    return _page(page)


@router.get("/redoc", access=Public("documentation"), include_in_schema=False)
async def get_redoc(request: Request) -> HTMLResponse:
    """Read the reference."""
    page = get_redoc_html(openapi_url=request.app.openapi_url, title=request.app.title)
    return _page(page)


def _page(page: HTMLResponse) -> HTMLResponse:
    page.headers["Content-Security-Policy"] = POLICY
    return page
