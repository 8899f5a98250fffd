"""Uploads in one request. Who may not is told before the body is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Role
from undercroft.foundation.problems import IdempotencyKeyInUse, IdempotencyKeyReused, Problem
from undercroft.storage.callers import Caller
from undercroft.storage.desk import Desk
from undercroft.storage.errors import FileExists, FileTooLarge, FileTypeRefused, LimitsChanged
from undercroft.storage.files import Files, Target
from undercroft.storage.links import UPLOAD
from undercroft.storage.objects.incoming import Incoming, open_incoming
from undercroft.storage.objects.permits import Permitted, permit
from undercroft.storage.objects.preconditions import Precondition, not_as_expected
from undercroft.storage.objects.reading import place
from undercroft.storage.once import Once, is_asked
from undercroft.storage.wire import Answer, Refusal, Request, answer_json


async def upload(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    bucket, name = place(request, 1)
    upsert = request.method == "PUT" or request.is_on("x-upsert")
    return await _upload(desk, request, Target(bucket, name, caller, upsert))


async def upload_signed(desk: Desk, request: Request) -> Answer:
    """With a token for just this name; whoever signed it owns the file."""
    bucket, name = place(request, 3)
    link = desk.links.read(request.query.get("token"), UPLOAD, bucket, name)
    caller = signers_caller(link.owner)
    return await _upload(desk, request, Target(bucket, link.name, caller, link.upsert))


def signers_caller(owner: UUID | None) -> Caller:
    """Rights were checked when the link was signed; the claims name who did."""
    claims = {"role": Role.SERVICE.value} | ({"sub": str(owner)} if owner else {})
    return Caller(Role.SERVICE.value, orjson.dumps(claims).decode(), f"link:{owner}", owner)


async def _upload(desk: Desk, request: Request, target: Target) -> Answer:
    incoming = open_incoming(request)
    condition = Precondition.of(request.headers)
    if is_asked(request):
        once = Once(desk, request, target.caller)
        return await _upload_once(desk, incoming, target, condition, once)
    if condition:
        return await _upload_if(desk, incoming, target, condition)
    upload = _upload_small if incoming.is_small else _upload_large
    return await upload(desk, incoming, target)


def _answer(target: Target, object_id: UUID) -> Answer:
    return answer_json({"Id": object_id, "Key": f"{target.bucket}/{target.name}"})


async def _upload_once(
    desk: Desk, incoming: Incoming, target: Target, condition: Precondition | None, once: Once
) -> Answer:
    """What was done before is looked for first: the file that is there may be this very one."""
    if await once.is_answered():
        return await once.replay(incoming)
    try:
        if condition:
            return await _upload_if(desk, incoming, target, condition, once)
        return await _upload_large(desk, incoming, target, once=once)
    except (IdempotencyKeyInUse, IdempotencyKeyReused):
        raise
    except (Problem, Refusal) as error:
        if await once.is_answered():  # since then: it may be that which is in the way
            raise IdempotencyKeyInUse from error
        raise


async def _upload_if(
    desk: Desk,
    incoming: Incoming,
    target: Target,
    condition: Precondition,
    once: Once | None = None,
) -> Answer:
    if not condition.wants_none:
        return await _upload_large(desk, incoming, target, condition, once)
    new = replace(target, upsert=False)
    try:
        return await _upload_large(desk, incoming, new, condition, once)
    except FileExists as error:
        raise not_as_expected() from error


async def _upload_large(
    desk: Desk,
    incoming: Incoming,
    target: Target,
    condition: Precondition | None = None,
    once: Once | None = None,
) -> Answer:
    files = desk.files
    permitted = await permit(files, target, incoming.size_bytes, incoming.declared_type)
    async with discarding(files, permitted):
        if condition:  # what fails already needs no bytes
            async with files.database.unit_of_work() as session:
                await condition.check(session, target.bucket, target.name)
        await incoming.begin()
        staged = await files.blobs.write(
            permitted.blob_id,
            once.content(incoming) if once else incoming.content(),
            declared_type=incoming.declared_type,
            accepted=permitted.accepted,
            encoding=incoming.encoding,
        )

        async def link(session: AsyncSession) -> Answer:
            if condition:
                await condition.check(session, target.bucket, target.name)
            named = incoming.describe(target)
            return _answer(target, await files.link_target(session, staged, named))

        if once is None:
            async with files.database.unit_of_work() as session:
                return await link(session)
        answer = await once.run(link)
        if once.was_replayed:
            await files.discard(permitted.blob_id)
        return answer


async def _upload_small(desk: Desk, incoming: Incoming, target: Target) -> Answer:
    """Whoever was let into this bucket lately is asked about once, at the end.

    Of what is remembered only a yes counts: limits may have been loosened meanwhile.
    """
    if desk.small.knows(target):
        await incoming.collect()
        if known := await desk.small.find_known(target):
            with suppress(LimitsChanged, FileTooLarge, FileTypeRefused):
                return _answer(
                    target,
                    await _store_small(desk, incoming, target, known, limits=known.limits),
                )
    permitted = await permit(desk.files, target, incoming.size_bytes, incoming.declared_type)
    object_id = await _store_small(desk, incoming, target, permitted, limits=None)
    desk.small.remember(target, permitted)
    return _answer(target, object_id)


async def _store_small(
    desk: Desk, incoming: Incoming, target: Target, permitted: Permitted, *, limits: str | None
) -> UUID:
    async with discarding(desk.files, permitted):
        try:
            staged = await desk.files.blobs.write_small(
                permitted.blob_id,
                await incoming.collect(),
                declared_type=incoming.declared_type,
                accepted=permitted.accepted,
                encoding=incoming.encoding,
            )
            return await desk.small.link(staged, incoming.describe(target), limits=limits)
        except BaseException:
            desk.small.forget(target)
            raise


@asynccontextmanager
async def discarding(files: Files, permitted: Permitted) -> AsyncIterator[None]:
    """What came of an upload that fails goes at once."""
    try:
        yield
    except BaseException:
        await asyncio.shield(files.discard(permitted.blob_id))
        raise
