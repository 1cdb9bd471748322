"""The records of model servers that were started and not stopped, and their current state.

Each is an endpoint: one process (`core.serving.worker`), or several on one socket, that serve one
version on a port. It keeps running when the app stops, and is found again by its record, which also
says what it serves: its processes read it at every request. `core.serving.server_process` starts
and stops them.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sql

from core.platform import identity, locks, messages, model_store, process, set_aside, state
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words
from core.platform.rows import Rule, rule_of

State = Literal["starting", "ready", "silent", "restarting", "stopped", "died"]
TURN_SECONDS = 300.0

# name, number and run: the same number in another registry is another model
Identity = tuple[str, str, str]

_table = sql.Table(
    "servers",
    state.TABLES,
    sql.Column("port", sql.Integer, primary_key=True),
    sql.Column("body", sql.String, nullable=False),
)


# by database: the version of the state, and the servers at that version
_read: dict[Path, tuple[tuple[int, int], dict[int, Server | None]]] = {}


@dataclass(frozen=True)
class Server:
    """A served version, as recorded under its port.

    Parameters
    ----------
    port : int
        On 127.0.0.1.
    pid, create_time
        Together they identify its process, the first one if it has several.
    model, version : str
        The registered model and its version.
    alias : str or None
        The requested alias, None if a version was requested.
    run_id : str
        The run that logged the model.
    state : str
        `starting` until the first answer, then `ready`; `restarting`, from the end of its process
        until the next one answers; `stopped`, while it is being stopped; `died`, when it has ended
        and nothing restarts it. `servers` also reports `silent`, while it lives and does not
        answer.
    started : float
        Seconds since 1970; since when it serves this version.
    job_id : str or None
        The background job that started it.
    sample : bool
        Whether the model was trained on the built-in sample.
    workers : int
        Number of its processes.
    control : int or None
        The own port of the first process, where there are several.
    is_live : bool
        Whether it is the endpoint that follows the champion.
    inputs : dict of str to {"number", "text"}
        Input columns of the model, in order.
    is_complete : bool
        Whether the model refuses rows with a missing value.
    threshold : float or None
        Lowest probability, 0 to 1, that is labelled 1.
    key : str or None
        The project's natural key, an optional extra column of a request.
    shadow : int or None
        The port of another endpoint that gets a copy of every request.
    restarts : int
        Automatic restarts since a person started it.
    problem : Words or None
        Why it is down, or cannot be restarted, as a sentence.
    folder : Path or None
        The local files of the version.
    digests : dict of str to str
        The registered SHA-256 of its files, by file name.
    boot : str
        The `process.boot_id` of its process.
    home : str or None
        The home that it belongs to, see `core.platform.identity`; set by `keep`.
    silent_since : float or None
        When it last stopped answering, in seconds since 1970; None while it answers.
    rules : dict of str to dict
        Permitted values of each input, and of the key, see `core.platform.rows.rule_of`; without a
        rule, any number or text.
    """

    port: int
    pid: int
    create_time: float
    model: str
    version: str
    alias: str | None
    run_id: str
    state: State
    started: float
    log_path: Path
    job_id: str | None
    sample: bool
    workers: int = 1
    control: int | None = None
    is_live: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = True
    threshold: float | None = None
    key: str | None = None
    shadow: int | None = None
    restarts: int = 0
    problem: Words | None = None
    folder: Path | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    boot: str = ""
    home: str | None = None
    silent_since: float | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://{process.HOST}:{self.port}"

    @property
    def identity(self) -> Identity:
        """The version that it serves, among those of all registries."""
        return (self.model, self.version, self.run_id)

    @property
    def own_port(self) -> int:
        """The port on which its first process itself answers."""
        return self.control or self.port

    @cached_property
    def contract(self) -> dict[str, Rule]:
        """The rule of each input, and of the key if known."""
        return {name: rule_of(about) for name, about in {**self.inputs, **self.rules}.items()}

    @property
    def name(self) -> Message:
        """Display name, e.g. `kobe-shots version 3 (champion)`."""
        about = {"name": self.model, "version": self.version}
        if self.alias:
            return Message(
                "{first}, {second}",
                first=Message("{name}, version {version}", **about),
                second=model_store.ALIAS_LABELS.get(self.alias, self.alias),
            )
        return Message("{name}, version {version}", **about)

    @property
    def process(self) -> process.Process:
        """Its process, for `core.platform.process`."""
        return process.Process(self.pid, self.create_time, self.boot)


NO_MODEL_SERVED = Message("No model is served. Start one on the Serve page first.")
NO_OWN_SHADOW = Message("the live endpoint cannot shadow itself; choose another target")


def not_there(port: int) -> Message:
    """Return that there is no endpoint on a port."""
    return Message("There is no endpoint on port {port}. It may be stopped already.", port=port)


def servers(settings: Settings) -> list[Server]:
    """Return the servers that were started and not stopped, by port.

    Records and processes are read each time, so servers from an earlier session of the app are
    found, and dead ones are reported.
    """
    return [replace(server, state=current_state(server)) for server in kept(settings)]


def current_state(server: Server) -> State:
    """Return the current state, from the record and from the running processes."""
    if server.state in ("stopped", "died"):
        return server.state
    if not is_alive(server):
        # one that has never answered is not restarted
        return "died" if server.state == "starting" else "restarting"
    if server.state in ("starting", "restarting"):
        return server.state
    return "silent" if is_silent(server) else server.state


def find(settings: Settings, port: int) -> Server | None:
    """Return the record of our server on this port, alive or not."""
    server = _all(settings).get(port)
    return server if server is not None and _is_ours(settings, server) else None


def find_within(settings: Settings, connection: sql.Connection, port: int) -> Server | None:
    """Like `find`, within the caller's transaction."""
    mine = sql.select(_table.c.body).where(_table.c.port == port)
    body = connection.execute(mine).scalar_one_or_none()
    server = None if body is None else read(body)
    return server if server is not None and _is_ours(settings, server) else None


def is_kept(settings: Settings, port: int) -> bool:
    """Return whether this port has a record, of whatever home and readable or not."""
    return port in _all(settings)


def is_alive(server: Server) -> bool:
    """Return whether its process runs."""
    return process.is_alive(server.process)


def is_silent(server: Server) -> bool:
    """Return whether its own process lives but, by the last check, does not answer."""
    return server.silent_since is not None or process.is_stopped(server.process)


def change(settings: Settings, server: Server, **values: Any) -> Server:
    """Change some values of a server's current record, and return the server.

    Raises
    ------
    NotReadyError
        When it was stopped meanwhile, so that its record is gone.
    """
    with state.transaction(settings) as connection:
        standing = find_within(settings, connection, server.port)
        if standing is None or standing.state == "stopped":
            raise NotReadyError(
                Message(
                    "There is no endpoint on port {port}. It may be stopped already.",
                    port=server.port,
                )
            )
        changed = replace(standing, **values)
        keep_within(settings, connection, changed)
    # as it is read again
    return read(written(changed)) or changed


def kept(settings: Settings) -> list[Server]:
    """Return all records; `servers` adds their state."""
    return [server for server in _all(settings).values() if server and _is_ours(settings, server)]


def keep(settings: Settings, server: Server) -> None:
    """Replace the record of a server's port; an endpoint rereads its own."""
    with state.transaction(settings) as connection:
        keep_within(settings, connection, server)


def keep_within(settings: Settings, connection: sql.Connection, server: Server) -> None:
    """Like `keep`, within the caller's transaction."""
    body = written(replace(server, home=_home(settings)))
    new = state.insert(connection, _table).values(port=server.port, body=body)
    connection.execute(
        new.on_conflict_do_update(index_elements=["port"], set_={"body": new.excluded.body})
    )


def remove_within(connection: sql.Connection, port: int) -> None:
    """Delete the record of a port, within the caller's transaction."""
    connection.execute(sql.delete(_table).where(_table.c.port == port))


def exclusive(
    settings: Settings,
    name: str,
    on_wait: Callable[[], None] | None = None,
    *,
    patience: float | None = None,
) -> AbstractContextManager[None]:
    """Serialize changes of an endpoint: a start, a switch, a restart.

    Parameters
    ----------
    name : str
        The endpoint's port, or `live` for the one that follows the champion.
    on_wait : callable, optional
        Called several times a second while waiting for another change.
    patience : float, optional
        Longest wait in seconds.

    Raises
    ------
    NotReadyError
        When the other change does not finish.
    """
    path = settings.state_dir / f"endpoint-{name}.lock"
    return locks.exclusive(path, on_wait, patience=TURN_SECONDS if patience is None else patience)


def _all(settings: Settings) -> dict[int, Server | None]:
    """Return the record of each port, None if unreadable.

    Reread only after the state has changed: an endpoint needs it at every request.
    """
    place, version = state.path(settings), state.version(settings)
    if place not in _read or _read[place][0] != version:
        with state.reading(settings) as connection:
            rows = connection.execute(sql.select(_table).order_by(_table.c.port)).all()
        by_port = {port: read(body) for port, body in rows}
        for port in (port for port, server in by_port.items() if server is None):
            set_aside.put(settings, "servers", f"port:{port}", "unreadable")
        _read[place] = version, by_port
    return _read[place][1]


def _is_ours(settings: Settings, server: Server) -> bool:
    """Return whether it belongs to this home; a copied database describes another's."""
    return server.home is None or server.home == _home(settings)


def _home(settings: Settings) -> str:
    """Return the identity of the home, and of the machine if several share the state."""
    home = identity.of_home(settings.state_dir)
    return f"{home} on {socket.gethostname()}" if settings.state_url else home


def written(server: Server) -> str:
    """Return a server as JSON."""
    facts = asdict(server) | {"problem": messages.to_data(server.problem)}
    return json.dumps(facts, default=str)


def read(body: str) -> Server | None:
    """Return a server from JSON; None if it is none."""
    try:
        content = json.loads(body)
        content["log_path"] = Path(content["log_path"])
        content["folder"] = Path(content["folder"]) if content.get("folder") else None
        content["problem"] = messages.from_data(content.get("problem"))
        return Server(**content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
