"""Programs that outlive their starter, identified by pid and start time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from core.platform.errors import InputError
from core.platform.messages import Message

HOST = "127.0.0.1"
# the addresses at which a program listens on this machine
REACHED_LOCALLY = ("127.0.0.1", "0.0.0.0", "::", "::1")
PORTS_TRIED = 100
# The start time is derived from the clock and shifts a little when that is set.
SAME_START_SECONDS = 2.0
STOPPED = psutil.STATUS_STOPPED
# Children of this process, to be reaped when they end; init reaps the rest.
_children: dict[int, subprocess.Popen[bytes]] = {}


# lets pending output reach the browser before the process is replaced
_LAST_WORDS_SECONDS = 1.0
_MOST_FILES = 65_536


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Return the id of this boot; empty if the system has none.

    Without it, on a machine whose clock stops while off, a process could have the pid and start
    time of an earlier one.
    """
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


@dataclass(frozen=True)
class Process:
    """A started program, distinguished from later ones with the same pid.

    Parameters
    ----------
    boot : str
        The `boot_id` at its start; empty if unknown.
    """

    pid: int
    create_time: float
    boot: str = ""


def start(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str],
    folder: Path,
    *,
    is_part: bool = False,
) -> Process:
    """Start a program in its own session, so that it outlives this process.

    Parameters
    ----------
    command : sequence of str
        Program and arguments, run without a shell.
    log : Path
        File for its output; truncated first. Opened in append mode, so that it can be rotated while
        the program runs.
    env : mapping
        Variables added to this process's own.
    folder : Path
        Its working directory; created if missing, like the log's folder.
    is_part : bool
        Whether it stays in this process's session and ends with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    with log.open("ab") as file:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            cwd=folder,
            start_new_session=not is_part,
        )
    _children[child.pid] = child
    try:
        return Process(child.pid, psutil.Process(child.pid).create_time(), boot_id())
    except psutil.NoSuchProcess:
        return Process(child.pid, time.time(), boot_id())


def known(pid: int) -> Process:
    """Return the program that has this pid now.

    Raises
    ------
    NoSuchProcess
        If there is none.
    """
    return Process(pid, psutil.Process(pid).create_time(), boot_id())


def is_alive(process: Process) -> bool:
    """Return whether this program itself runs, not only its children."""
    _reap(process.pid)
    program = _at(process.pid)
    return program is not None and _same(program, process) and _runs(program)


def is_stopped(process: Process) -> bool:
    """Return whether this program is suspended by a signal, as by `kill -STOP`."""
    program = _at(process.pid)
    with suppress(psutil.Error):
        return program is not None and _same(program, process) and program.status() == STOPPED
    return False


def cpu_seconds(process: Process) -> float:
    """Return the CPU seconds of the program without its children; 0 if it has ended."""
    program = _at(process.pid)
    with suppress(psutil.Error):
        if program is not None and _same(program, process):
            times = program.cpu_times()
            return float(times.user + times.system)
    return 0.0


def listens(process: Process, port: int) -> bool:
    """Return whether the program, or a child of it, listens on the port."""
    for member in _members(process):
        with suppress(psutil.Error):
            for connection in member.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def stop(process: Process, grace: float = 5.0) -> None:
    """Terminate the program and all that it started; kill them after `grace` seconds.

    Returns when none is left; does nothing if there is none.
    """
    _signal(process, signal.SIGTERM)
    if not _gone(process, grace):
        kill(process)


def kill(process: Process) -> bool:
    """Kill the program and all that it started, and return whether none is left.

    This works on stopped or hung programs too. Start a replacement only if it returns True, or the
    old program could still write next to its successor.
    """
    _signal(process, signal.SIGKILL)
    return _gone(process, 5.0)


@dataclass(frozen=True)
class Usage:
    """Resource use of programs: bytes of memory now, and CPU seconds since they started."""

    memory: int
    cpu_seconds: float


def usage(programs: Iterable[Process]) -> Usage:
    """Return the total use of these programs and all that they started."""
    memory, seconds = 0, 0.0
    for program in programs:
        for member in _members(program):
            with suppress(psutil.Error):
                times = member.cpu_times()
                memory += member.memory_info().rss
                seconds += times.user + times.system
    return Usage(memory, seconds)


@dataclass(frozen=True)
class Listener:
    """A program that listens on a port of this machine.

    Parameters
    ----------
    pid : int or None
        None if it belongs to another user and is hidden from us.
    since : float or None
        Seconds since 1970.
    """

    port: int
    pid: int | None
    command: tuple[str, ...]
    since: float | None


def listeners() -> list[Listener]:
    """Return the programs that listen on 127.0.0.1 or on all addresses."""
    listed = []
    for port, pid in sorted(_listening(), key=lambda pair: (pair[0], pair[1] or 0)):
        command: tuple[str, ...] = ()
        since = None
        with suppress(psutil.Error):
            if pid is not None:
                program = psutil.Process(pid)
                since, command = program.create_time(), tuple(program.cmdline())
        listed.append(Listener(port, pid, command, since))
    return listed


def belongs(pid: int, programs: Iterable[Process]) -> bool:
    """Return whether a process is one of these programs or a descendant of one."""
    return _session(pid) in {program.pid for program in programs}


def lead_group() -> None:
    """Make this process the leader of a process group, for `signal_group`."""
    os.setpgrp()


def signal_group(pid: int | None, number: int) -> None:
    """Send a signal to a process that called `lead_group`, and to all that it started.

    Programs of their own session, as `start` creates, do not receive it.
    """
    if pid is None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
        return
    # too early: the process has not created its group yet
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def end_children() -> None:
    """Kill all that this process has started."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.send_signal(signal.SIGKILL)


def log_tail(path: Path, lines: int = 40) -> str:
    """Return the last lines of a log; empty if there is no log.

    Reads only the end of the file.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 500 * lines))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def port_is_free(port: int) -> bool:
    """Return whether a program could now listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        # some systems allow binding next to a program that listens on all addresses
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as probe:
        # connections in TIME_WAIT do not prevent a server from binding
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(first: int, excluded: Collection[int] = ()) -> int:
    """Return the first free port from `first` upward that is not excluded.

    Raises
    ------
    InputError
        If none of the hundred from `first` on is free.
    """
    last = min(first + PORTS_TRIED - 1, 65535)
    for port in range(first, last + 1):
        if port not in excluded and port_is_free(port):
            return port
    raise InputError(
        Message(
            "None of the ports {first} to {last} is free. Stop a program that uses one.",
            first=first,
            last=last,
        )
    )


def _listening() -> set[tuple[int, int | None]]:
    """Return port and pid of each listener."""
    try:
        every = [(connection.pid, connection) for connection in psutil.net_connections(kind="tcp")]
    except psutil.AccessDenied:
        # not every system lists those of all programs together
        every = []
        for program in psutil.process_iter():
            with suppress(psutil.Error):
                every += [
                    (program.pid, connection) for connection in program.net_connections(kind="tcp")
                ]
    return {
        (connection.laddr.port, pid)
        for pid, connection in every
        if connection.status == psutil.CONN_LISTEN and connection.laddr.ip in REACHED_LOCALLY
    }


def _at(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _same(program: psutil.Process, process: Process) -> bool:
    if process.boot and process.boot != boot_id():
        return False
    try:
        return bool(abs(program.create_time() - process.create_time) <= SAME_START_SECONDS)
    except psutil.Error:
        return False


def _runs(program: psutil.Process) -> bool:
    try:
        return bool(program.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]


def _members(process: Process) -> list[psutil.Process]:
    """Return the living processes of the program's session, and itself.

    A pid is not reused while a session has it as its id. So if another process has it now, nothing
    of ours is left.
    """
    if process.pid <= 0:
        # never a program that we started: session 0 is the system's
        return []
    leader = _at(process.pid)
    if leader is not None and not _same(leader, process):
        return []
    # the program itself too, if it runs in its starter's session
    pids = {process.pid, *(pid for pid in psutil.pids() if _session(pid) == process.pid)}
    programs = [_at(pid) for pid in sorted(pids)]
    return [member for member in programs if member is not None and _runs(member)]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _signal(process: Process, number: signal.Signals) -> None:
    for member in _members(process):
        with suppress(psutil.Error):
            # psutil checks again that the pid still belongs to the same process
            member.send_signal(number)


def _gone(process: Process, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        _reap(process.pid)
        if not _members(process):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.05)


def re_exec(env: Mapping[str, str]) -> None:
    """Replace this process by a new one of the same command, in a second.

    No open file, connection or cache survives. Variables that libraries set in the environment
    since the start are not passed on.

    Parameters
    ----------
    env : mapping
        Variables that hold the app's settings.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, *sys.orig_argv[1:]]

    def replace() -> None:
        time.sleep(_LAST_WORDS_SECONDS)
        # its server makes sockets inheritable: the port would never be free again
        os.closerange(3, _MOST_FILES)
        os.execve(sys.executable, command, {**kept, **env})

    threading.Thread(target=replace, daemon=True).start()
