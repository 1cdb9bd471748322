"""Programs that outlive whoever starts them."""

import os
import re
import signal
import socket
import sys
import time
from dataclasses import replace

import psutil
import pytest

from core.platform import process
from core.platform.config import CODE_ROOT
from core.platform.errors import InputError

# Starts a child as a server starts its worker, prints the child's pid, and waits.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print("child", child.pid, flush=True)
time.sleep(60)
"""
OBEDIENT = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf', flush=True); time.sleep(60)"
)


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(*arguments):
        log = tmp_path / "logs" / f"{len(started)}.log"
        command = [sys.executable, "-c", *arguments]
        started.append(process.start(command, log, {"GIVEN": "1"}, tmp_path / "state"))
        return started[-1], log

    yield begin
    for program in started:
        process.stop(program, grace=0.1)


def test_a_program_gets_its_variables_folder_and_session(start, tmp_path):
    begun, log = start("import os; print(os.environ['GIVEN'], os.getcwd(), os.getsid(0))")
    until(lambda: not process.is_alive(begun))
    assert process.log_tail(log) == f"1 {tmp_path / 'state'} {begun.pid}"


@pytest.mark.parametrize("child", [OBEDIENT, STUBBORN])
def test_stop_leaves_no_child_behind(start, child):
    begun, log = start(PARENT, child)
    until(lambda: ("deaf" if child == STUBBORN else "child") in process.log_tail(log))
    line = next(line for line in process.log_tail(log).splitlines() if line.startswith("child"))
    pid = int(line.split()[1])
    assert process.is_alive(begun)

    process.stop(begun, grace=0.3)

    assert not process.is_alive(begun)
    assert not runs(pid)
    process.stop(begun)


def test_children_of_a_program_that_died_are_ended_too(start):
    begun, log = start(PARENT, OBEDIENT)
    until(lambda: re.search(r"child \d+", process.log_tail(log)))
    pid = int(process.log_tail(log).split()[1])
    os.kill(begun.pid, signal.SIGKILL)
    until(lambda: not process.is_alive(begun))
    assert runs(pid)

    process.stop(begun)

    assert not runs(pid)


def test_a_later_process_with_the_same_pid_is_left_alone(start):
    begun, _ = start(OBEDIENT)
    earlier = replace(begun, create_time=begun.create_time - 3600)
    assert not process.is_alive(earlier)

    process.stop(earlier)

    assert process.is_alive(begun)


def test_a_group_is_ended_completely(start):
    begun, log = start(PARENT, OBEDIENT)
    until(lambda: re.search(r"child \d+", process.log_tail(log)))
    pid = int(process.log_tail(log).split()[1])

    process.signal_group(begun.pid, signal.SIGKILL)

    until(lambda: not process.is_alive(begun) and not runs(pid))
    process.signal_group(begun.pid, signal.SIGKILL)


def test_children_are_ended(start):
    script = (
        "import subprocess, sys; sys.path.insert(0, sys.argv[1]); "
        "from core.platform import process; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "process.end_children(); print('child', child.pid, child.wait(), flush=True)"
    )
    begun, log = start(script, str(CODE_ROOT))
    until(lambda: not process.is_alive(begun))
    assert f" {-signal.SIGKILL}" in process.log_tail(log)


def test_the_listening_process_is_identified(start):
    script = (
        "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
        "print(s.getsockname()[1], flush=True); time.sleep(60)"
    )
    begun, log = start(PARENT, script)
    until(lambda: len(process.log_tail(log).splitlines()) == 2)
    port = next(int(x) for x in process.log_tail(log).splitlines() if x.isdigit())
    other, _ = start(OBEDIENT)
    assert process.listens(begun, port)
    assert not process.listens(other, port)
    assert not process.port_is_free(port)
    # found by its port, with its command; children belong to the process that started them
    (listening,) = [listener for listener in process.listeners() if listener.port == port]
    assert listening.command[-1] == script
    assert listening.since == pytest.approx(begun.create_time, abs=30)
    assert process.belongs(listening.pid, [other, begun])
    assert not process.belongs(listening.pid, [other])


def test_usage_of_programs_includes_their_children(start):
    work = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\n"
    begun, log = start(PARENT, work + "print('done', flush=True); time.sleep(60)")
    until(lambda: "done" in process.log_tail(log))
    used = process.usage([begun])
    alone = psutil.Process(begun.pid)
    assert used.cpu_seconds >= 0.2
    assert used.memory > 1.5 * alone.memory_info().rss
    assert process.usage([begun, begun]).memory == pytest.approx(2 * used.memory, rel=0.1)
    assert process.usage([replace(begun, create_time=1.0)]) == process.Usage(0, 0.0)


def test_a_part_ends_with_its_parent(start, tmp_path):
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); "
        "from core.platform import process; from pathlib import Path; "
        "part = process.start([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "Path('part.log'), {}, Path('.'), is_part=True); print('part', part.pid, flush=True); "
        "time.sleep(60)"
    )
    begun, log = start(script, str(CODE_ROOT))
    until(lambda: "part" in process.log_tail(log))
    part = int(process.log_tail(log).split()[-1])
    assert runs(part)
    process.stop(begun)
    assert not runs(part)


def test_process_zero_is_never_ours(monkeypatch):
    # in a container, processes from outside belong to session 0
    monkeypatch.setattr(process, "_session", lambda pid: 0)
    assert process._members(process.Process(0, 0.0)) == []
    assert not process.is_alive(process.Process(0, 0.0))


def test_a_free_port_is_neither_in_use_nor_reserved():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert not process.port_is_free(port)
        free = process.free_port(port)
        assert free > port
        assert process.free_port(port, {free}) > free
    assert process.port_is_free(port)


def test_no_port_left(monkeypatch):
    monkeypatch.setattr(process, "port_is_free", lambda port: False)
    with pytest.raises(InputError, match="None of the ports 65500 to 65535 is free"):
        process.free_port(65500)


def test_the_tail_of_a_log(tmp_path):
    log = tmp_path / "some.log"
    assert process.log_tail(log) == ""
    log.write_bytes(b"\xff first\n" + b"".join(b"line %d\n" % n for n in range(100_000)))
    assert process.log_tail(log, 2) == "line 99998\nline 99999"
