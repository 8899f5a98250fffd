"""How routes and jobs of other wings reach the files of their process."""

from typing import Annotated

from fastapi import Depends, Request

from undercroft.storage.files import Files


async def get_files(request: Request) -> Files:
    files: Files = request.app.state.files
    return files


FilesParts = Annotated[Files, Depends(get_files)]
