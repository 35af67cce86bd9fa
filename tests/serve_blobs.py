"""The blob service alone, as a process: prints its port when it listens; ends with its standard input.

serve_blobs.py ROOT KEY PUT_BYTES
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from batchtwin.azure.blob.routes import router
from batchtwin.azure.blob.sas import Sas

ACCOUNT = "devstore.blob.batchtwin"


async def main(root: str, key: str, put_bytes: str) -> None:
    """Serve until the process that started this one closes its end."""
    app = FastAPI()
    app.include_router(router(Path(root), Sas(bytes.fromhex(key)), int(put_bytes)), prefix=f"/{ACCOUNT}")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
