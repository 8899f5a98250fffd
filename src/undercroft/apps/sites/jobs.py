"""What sites leave behind outside Postgres goes after the commit: images and stored frames."""

from base64 import urlsafe_b64encode
from typing import Any

from undercroft import Files, JobContext, OrganizationDeleted, Parts, job, schedule, subscribes
from undercroft.apps.sites import queries
from undercroft.apps.sites.images import IMAGES

BATCH = 200


@job("sites.remove_leftovers")
async def remove_leftovers(context: JobContext) -> None:
    """Remove what the triggers noted; what fails stays noted for the next try."""
    while await _remove_some(context):
        pass


@subscribes(OrganizationDeleted, "sites.clean_after_organization")
async def clean_after_organization(context: JobContext, event: OrganizationDeleted) -> None:
    """Its sites went with it."""
    del event
    await remove_leftovers(context)


async def _remove_some(context: JobContext) -> int:
    files: Files = context.services["files"]
    parts: Parts = context.services["parts"]
    async with context.unit_of_work() as session:
        found = await queries.take_leftovers(session, BATCH)
        names = {entry.name for entry in found if entry.kind == "frames"}
        for name in names - await queries.list_names_in_use(session, names):
            await forget_frames(parts.cache.client, name)
        images = [entry.name for entry in found if entry.kind == "image"]
        if images:
            await files.delete(session, bucket=IMAGES, names=images)
        for entry in found:
            await session.delete(entry)
    return len(found)


async def forget_frames(client: Any, site_name: str) -> None:
    """Delete the frames that detectors keep under this very name, in either form of base64.

    A detector may keep one per stream, behind a `|`, which no name's encoding holds: so a longer
    name is never taken for a shorter one. SCAN goes on in small steps beside other work.
    """
    encoded = urlsafe_b64encode(site_name.encode()).decode()
    keys = {f"stream_frame:{encoded}", f"stream_frame:{encoded.rstrip('=')}"}
    for key in keys:
        await client.unlink(key)
        async for found in client.scan_iter(match=f"{key}|*", count=1000):
            await client.unlink(found)


JOBS = (remove_leftovers,)
SCHEDULES = (schedule(remove_leftovers, cron="*/10 * * * *"),)
SUBSCRIPTIONS = (clean_after_organization,)
