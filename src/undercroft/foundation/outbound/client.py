"""The client: what may be asked, how often it may be sent elsewhere, how much it may answer."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from undercroft.foundation.outbound.errors import (
    AnswerTooLarge,
    TargetRefused,
    TargetSilent,
    TargetUnreachable,
    TooManyRedirects,
)
from undercroft.foundation.outbound.rules import Rules
from undercroft.foundation.outbound.transport import GuardedTransport, Resolve, SystemResolver
from undercroft.foundation.settings import OutboundSettings


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers have come; the body comes as it is asked for, up to the limit."""

    status: int
    headers: Mapping[str, str]
    url: str
    _response: httpx2.Response
    _max_bytes: int

    async def chunks(self) -> AsyncIterator[bytes]:
        """The decoded body in pieces of at most 1 MiB. Raises `AnswerTooLarge`."""
        seen = 0
        async with aclosing(self._response.aiter_bytes()) as pieces:
            async for piece in pieces:
                seen += len(piece)
                if seen > self._max_bytes:
                    raise AnswerTooLarge(f"more than {self._max_bytes} bytes")
                yield piece

    async def read(self) -> bytes:
        """The whole body. Raises `AnswerTooLarge`."""
        return b"".join([piece async for piece in self.chunks()])

    async def excerpt(self, size: int, patience: timedelta) -> bytes:
        """The first bytes of the body: what comes in time, however much would follow."""
        found = b""
        with suppress(TimeoutError, httpx2.HTTPError):
            async with (
                asyncio.timeout(patience.total_seconds()),
                aclosing(self._response.aiter_bytes()) as pieces,
            ):
                async for piece in pieces:
                    found += piece[:size]
                    if len(found) >= size:
                        break
        return found[:size]


class Outbound:
    """One per process. `resolve` finds a name's addresses; None asks the machine's resolver."""

    def __init__(self, settings: OutboundSettings, resolve: Resolve | None = None) -> None:
        self._settings = settings
        self._rules = Rules(settings)
        self._own_resolver = None if resolve else SystemResolver()
        find = resolve or self._own_resolver
        assert find
        verify = ssl.create_default_context(cafile=settings.ca_file)
        self._client = httpx2.AsyncClient(
            transport=GuardedTransport(settings, self._rules, find, verify),
            trust_env=False,
            follow_redirects=False,
            # One tenant's target must not be handed the cookies of another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def check(self, url: str) -> httpx2.URL:
        """Judge what can be judged without asking the network. Raises `TargetRefused`.

        For the moment somebody types an address; every call is judged again when it connects.
        """
        return self._rules.check(url)

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        *,
        max_bytes: int,
        timeout: timedelta,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        follow: bool = False,
    ) -> AsyncIterator[Answer]:
        """Call `url`. Raises an `OutboundError`, inside the block too.

        `timeout` holds for the whole, from the name to the last byte the block reads. `follow` is
        for questions without a body; each step is judged like the first.
        """
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                request = self._request(method, self.check(url), headers, content, timeout)
                response = await self._follow(request, follow=follow)
                try:
                    yield Answer(
                        response.status_code,
                        response.headers,
                        str(response.url),
                        response,
                        max_bytes,
                    )
                finally:
                    await response.aclose()
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise TargetSilent("no whole answer in time") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.CookieConflict) as error:
            raise TargetUnreachable(type(error).__name__) from error

    async def aclose(self) -> None:
        await self._client.aclose()
        if self._own_resolver:
            self._own_resolver.close()

    def _request(
        self,
        method: str,
        target: httpx2.URL,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        timeout: timedelta,
    ) -> httpx2.Request:
        limits = httpx2.Timeout(
            timeout.total_seconds(), connect=self._settings.connect_timeout.total_seconds()
        )
        return self._client.build_request(
            method, target, headers=dict(headers or {}), content=content, timeout=limits
        )

    async def _follow(self, request: httpx2.Request, *, follow: bool) -> httpx2.Response:
        for _ in range(self._settings.max_redirects + 1):
            response = await self._client.send(request, stream=True)
            try:
                self._check_head(response)
                following = response.next_request if follow else None
                if following is None:
                    return response
                self._check_step(request, following)
            except BaseException:
                await response.aclose()
                raise
            await response.aclose()
            request = following
        raise TooManyRedirects(f"more than {self._settings.max_redirects}")

    def _check_head(self, response: httpx2.Response) -> None:
        size = sum(len(name) + len(value) for name, value in response.headers.raw)
        if size > self._settings.max_header_bytes:
            raise AnswerTooLarge("the headers")
        # Wrapped twice, a few kilobytes are gigabytes of work that yields nothing to count.
        if "," in response.headers.get("content-encoding", ""):
            raise TargetUnreachable("encoded more than once")

    def _check_step(self, request: httpx2.Request, following: httpx2.Request) -> None:
        self.check(str(following.url))
        if request.url.scheme == "https" and following.url.scheme == "http":
            raise TargetRefused("from https to http")
