"""Files of accounts as the storage plane hands them out: ranges, conditions, safe headers."""

from collections.abc import Mapping

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from undercroft.storage import wire
from undercroft.storage.callers import SYSTEM, Caller
from undercroft.storage.files import Files
from undercroft.storage.lookup import StoredFile
from undercroft.storage.objects.serving import Served, serve


async def download(files: Files, request: Request, file: StoredFile, name: str) -> Response:
    """The file under this name, never shown in the browser's window."""
    asked = wire.Request(
        request.method, [], {"download": name}, request.headers, request.receive, _asked_already
    )
    try:
        answer = await serve(files, asked, file, Served())
    except wire.Refusal as refusal:  # a range outside the file
        return Response(status_code=refusal.status, headers=_headers(refusal.headers))
    headers = _headers(answer.headers)
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, headers)
    return StreamingResponse(
        answer.body, answer.status, headers | {"Content-Length": str(answer.length)}
    )


def _headers(given: wire.Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in given}


async def _asked_already(_headers: Mapping[str, str]) -> Caller:
    return SYSTEM
