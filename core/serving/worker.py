"""The process of an endpoint: uvicorn around its application.

`python -m core.serving.worker PORT` serves the version that the record of the port describes, with
the settings of its environment, until it is asked to end. Requests in flight are answered first,
and pending rows are written to the log.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.platform.config import Settings
    from core.serving.app import App

HOST = "127.0.0.1"
BACKLOG = 1024
# An endpoint without a record for this long is an orphan and ends.
ORPHAN_SECONDS = 10.0
ROTATE_SECONDS = 30.0
WATCH_SECONDS = 0.5
SWITCH_SECONDS = 0.0005
# After a request to end, those in flight have this long.
GRACE_SECONDS = 4.0


def listen(port: int, host: str = HOST) -> socket.socket:
    """Return a socket that listens on a port; requests wait in it meanwhile."""
    # asyncio sends small answers at once (TCP_NODELAY) on sockets of this protocol alone
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(BACKLOG)
    return listening


def server(app: Any) -> Any:
    """Return a uvicorn server of an application."""
    import uvicorn

    from core.serving import http_protocol

    config = uvicorn.Config(
        app,
        http=http_protocol.Protocol,
        ws="none",
        lifespan="off",
        # a line per request would fill the log
        access_log=False,
        use_colors=False,
        backlog=BACKLOG,
        timeout_keep_alive=int(http_protocol.HEAD_SECONDS),
        timeout_graceful_shutdown=int(GRACE_SECONDS),
    )
    return uvicorn.Server(config)


async def serve(app: App, sockets: list[socket.socket]) -> None:
    """Answer requests on these sockets until the process is asked to end."""
    app.recorder.start()
    watching = asyncio.create_task(_watch(app))
    try:
        await server(app).serve(sockets=sockets)
    finally:
        watching.cancel()
        app.copies.close()
        await asyncio.to_thread(app.recorder.close)


async def _watch(app: App) -> None:
    """Release versions that are not served, rotate the logs, and end once nobody needs this.

    Keeps as many further processes running as the record says.
    """
    from core.platform import log_files
    from core.platform.errors import CourtsideError, StoreError
    from core.serving import server as servers

    missed, rotated = 0.0, time.monotonic()
    while missed < ORPHAN_SECONDS and not app.is_replaced():
        described = app.server()
        if app.siblings is not None and described is not None:
            app.siblings.keep(described.workers - 1)
        app.versions.release(described)
        await asyncio.sleep(WATCH_SECONDS)
        # what cannot be read at this moment proves nothing
        with suppress(StoreError):
            is_kept = servers.is_kept(app.settings, app.port)
            missed = 0.0 if is_kept else missed + WATCH_SECONDS
        if time.monotonic() - rotated > ROTATE_SECONDS:
            rotated = time.monotonic()
            # also without the app, which may be closed for weeks
            with suppress(OSError, CourtsideError):
                await asyncio.to_thread(log_files.rotate, app.settings.logs_dir)
    signal.raise_signal(signal.SIGTERM)


def run_first(settings: Settings, port: int, listening: socket.socket) -> int:
    """Run the first process; return 1 if the recorded version cannot be loaded."""
    from core.platform.errors import CourtsideError
    from core.serving import server as servers
    from core.serving import siblings
    from core.serving.app import App

    app = App(settings, port)
    own = listen(0)
    control = own.getsockname()[1]
    if not _load(app):
        return 1
    if (described := app.server()) is not None:
        with suppress(CourtsideError):
            servers.change(settings, described, control=control)

    async def serving() -> None:
        app.siblings = siblings.Siblings(
            port, listening, control, app.statistics, settings.hang_seconds
        )
        try:
            await serve(app, [listening, own])
        finally:
            app.siblings.keep(0)

    _run(serving)
    return 0


def run_further(settings: Settings, port: int, listening: socket.socket, first: int) -> int:
    """Run a further process on the socket of the first one."""
    from core.serving import siblings
    from core.serving.app import App

    reading, writing = siblings.channel()
    tally = siblings.Tally()
    app = App(settings, port, os.getppid(), statistics=tally)
    app.first = first
    if not _load(app):
        return 1

    async def serving() -> None:
        reporting = asyncio.create_task(siblings.report(app, tally, reading, writing))
        try:
            await serve(app, [listening])
        finally:
            reporting.cancel()

    _run(serving)
    return 0


def _load(app: App) -> bool:
    """Load the recorded version; return whether it is loaded, with the reason in the log."""
    from core.platform.errors import CourtsideError
    from core.serving import versions

    versions.warm_up()
    try:
        # a record that cannot be read now is read at a request
        if (described := app.server()) is not None:
            app.versions.load(described)
    except CourtsideError as error:
        print(f"{type(error).__name__}: {error.message}", file=sys.stderr)  # noqa: T201
        return False
    # what was imported stays: it need not be looked through again
    gc.freeze()
    gc.enable()
    return True


def _run(serving: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until asked to end, and leave the process."""
    # keeps the threads of predictions and of the log from delaying responses
    sys.setswitchinterval(SWITCH_SECONDS)
    # uvicorn raises the signal again once it has shut down, before the log is closed
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    async def serve_and_leave() -> None:
        await serving()
        sys.stdout.flush()
        sys.stderr.flush()
        # a prediction or a load that does not end would keep the process
        os._exit(0)

    asyncio.run(serve_and_leave())


def main() -> int:
    """Run the process that the command line describes."""
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("port", type=int)
    parser.add_argument("--socket", type=int, help="of the first process, which started this one")
    parser.add_argument("--first", type=int, help="the own port of the first process")
    arguments = parser.parse_args()
    # imports create no garbage: looking for it takes a quarter of the time to the first answer
    gc.disable()
    # before the imports, which take seconds: requests wait meanwhile
    listening = (
        # as `Settings.serve_host`, which would be imported first
        listen(arguments.port, os.environ.get("COURTSIDE_SERVE_HOST") or HOST)
        if arguments.socket is None
        else socket.socket(fileno=arguments.socket)
    )
    from core.platform import privacy
    from core.platform.config import Settings

    privacy.set_umask()
    settings = Settings.load()
    if arguments.first is None:
        return run_first(settings, arguments.port, listening)
    return run_further(settings, arguments.port, listening, arguments.first)


if __name__ == "__main__":
    sys.exit(main())
