"""A PostgreSQL server of the tests' own, from the programs that the system has."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

NAME, PASSWORD = "courtside", "s3cret/of:tests"
QUOTED = "s3cret%2Fof%3Atests"
PROGRAMS = ("initdb", "postgres")


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest version's; None where it is absent."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda bin_folder: float(bin_folder.parent.name),
    )
    on_path = [Path(program).parent for program in [shutil.which("postgres")] if program]
    for folder in [*on_path, *reversed(debian)]:
        if all((folder / name).is_file() for name in PROGRAMS):
            return folder
    return None


class Server:
    """One that listens on a free port of 127.0.0.1, and keeps its files in a folder of its own.

    Parameters
    ----------
    programs : Path
        Folder of initdb and postgres.
    """

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="courtside_pg_"))
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        # they refuse to work as root
        self._user = self._unprivileged()
        secret = self.folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if self._user:
            for path in (self.folder, secret):
                shutil.chown(path, self._user)
        self._run(
            "initdb",
            "-D",
            str(self.data),
            "-U",
            NAME,
            f"--pwfile={secret}",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://{NAME}:{QUOTED}@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Create an empty database, and return its address."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def connect(self, database: str = "postgres"):
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=NAME,
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.programs / "postgres",
                    "-D",
                    self.data,
                    "-p",
                    str(self.port),
                    "-h",
                    "127.0.0.1",
                    "-k",
                    "",
                    "-F",
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self._user,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
                return
            except Exception:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """End it as a restart would: connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.folder,
            user=self._user,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr

    def _unprivileged(self) -> str | None:
        if os.getuid() != 0:
            return None
        import pwd  # not on every system

        users = {entry.pw_name for entry in pwd.getpwall()}
        return next(name for name in ("postgres", "nobody") if name in users)
