"""Settings: where state lives, and the app's limits."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from core.platform.errors import InputError, words_of
from core.platform.messages import Message, listed, sentences

PREFIX = "COURTSIDE_"
Role = Literal["viewer", "operator", "admin"]
# each may do what those before it may
ROLES: tuple[Role, ...] = get_args(Role)
SQLITE = "sqlite:///"
# the project that lives in the home itself; every other one has a home nested in it
BUILT_IN = "kobe"
PROJECTS = "projects"
PROJECT_FILE = "project.toml"
_PROJECT_NAME = r"^[a-z][a-z0-9_]{0,39}$"
CODE_ROOT = Path(__file__).resolve().parents[2]
# else core is an installed library, next to other packages
IN_CHECKOUT = all((CODE_ROOT / name).is_file() for name in ("app.py", "pyproject.toml"))


def _usual_home() -> Path:
    return CODE_ROOT if IN_CHECKOUT else Path.cwd() / "courtside"


class Options(BaseModel):
    """The base of every step's options: frozen, unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def needs(option: str, needed: str) -> ValueError:
    """Return the error on an option that is given without what it needs, both as code.

    Examples
    --------
    >>> str(needs("start", "window = log"))
    '`start` needs `window = log`'
    """
    return ValueError(
        Message("{option} needs {needed}", option=f"`{option}`", needed=f"`{needed}`")
    )


def exists(name: str) -> Message:
    """Return why a name cannot be given to something new."""
    return Message("'{name}' exists; delete it first, or choose another name", name=name)


def excluded(*options: str) -> ValueError:
    """Return the error on options that are given together, or not at all.

    Examples
    --------
    >>> str(excluded("row", "row_id"))
    'give one of `row`, `row_id`'
    """
    return ValueError(
        Message("give one of {options}", options=", ".join(f"`{name}`" for name in options))
    )


class Settings(Options):
    """Where state lives, and the app's limits. Frozen; unknown keys are refused.

    Each field is read from the environment variable `COURTSIDE_<FIELD>`; only the MLflow store from
    MLflow's own `MLFLOW_TRACKING_URI`.

    Parameters
    ----------
    home : Path
        Folder of everything the app writes: data/, mlflow.db, mlruns/, state/, logs/. Default: the
        checkout, or `courtside` in the current folder if core is an installed library.
    raw_dir : Path or None
        Folder with real files for acquire; without it the built-in sample is offered.
    project : str
        Name of a project of the home, or of a file in core/projects without `.toml`. One that has
        its file at `<home>/projects/<name>/project.toml` gets that folder as its home, and keeps
        the MLflow store of the outer one.
    tracking_uri : str or None
        MLflow store; None means `sqlite:///<home>/mlflow.db`.
    upload_limit_mb : int
        Largest upload in megabytes, 1 to 2,000.
    download_mirror : str or None
        URL of a folder with the project's files under their own names, for machines that cannot
        reach the URLs in the project file.
    workers : int
        Jobs that run at the same time, 1 to 16.
    serve_port : int
        Port of the live endpoint, 1024 to 65,535; other servers take the next free ones.
    serve_host : str
        IPv4 address on which endpoints listen, 127.0.0.1 unless others must reach them, as from
        outside of a container.
    dask : str or None
        Address of a Dask scheduler, `tcp://host:port` or `tls://host:port`, whose workers fit
        candidates in parallel; None fits them one by one.
    predictions_url : str or None
        SQLAlchemy URL of the predictions log, `postgresql+psycopg://name:password@host/database`;
        None means a SQLite file in state/. It can hold a password, so it is not recorded in runs.
    state_url : str or None
        SQLAlchemy URL of a PostgreSQL database for jobs, schedules, alerts, API keys and endpoints,
        which workers on several machines share; None means `state.db` in state/. Not recorded in
        runs either.
    start_worker : bool
        Whether the app starts a worker of its own; without one, `python -m core worker` runs the
        jobs.
    clock_speed : float
        Speed of the clock of schedules, alerts and retraining relative to real time, 1 to
        1,000,000: shows weeks in minutes. Everything else keeps real time.
    hang_seconds : float
        Seconds without an answer, 2 to 3,600, after which a served model, the
        background worker or a job's process is killed and replaced; ten times as long while it uses
        the CPU.
    webhook_secret, smtp_password : str or None
        Key that signs alerts, and password of the mail server; never in a run, log or page.
    login : bool
        Whether pages require a login, through the provider in `[auth]` of
        `.streamlit/secrets.toml`.
    allowed_hosts : str or None
        Comma-separated host names by which a proxy calls the app or an endpoint:
        `courtside.example.org`, `192.168.1.5:8501`. Without it only 127.0.0.1 and localhost are
        accepted, as protection against DNS rebinding.
    language : {"en", "pt"}
        Language of the commands' answers, progress and errors. The app follows the reader's choice.
    allowed_emails : str or None
        Comma-separated addresses that may log in: `ana@example.org`, or `@example.org` for a
        domain. None admits everybody whom the provider knows. Not recorded in runs.
    roles : str or None
        Comma-separated roles of who logs in: `ana@example.org=admin`, `@example.org=operator` for a
        domain, `team=operator` for a group that the provider reports. Everybody else is a viewer;
        with None everybody is admin. Not recorded in runs.

    Examples
    --------
    >>> Settings(home="/srv/courtside").data_dir.as_posix()
    '/srv/courtside/data'
    """

    home: Path = Field(default_factory=_usual_home)
    raw_dir: Path | None = None
    project: str = Field(BUILT_IN, pattern=_PROJECT_NAME)
    tracking_uri: str | None = None
    upload_limit_mb: int = Field(200, ge=1, le=2000)
    # without a password: settings are recorded in every run
    download_mirror: str | None = Field(None, pattern=r"^https?://[^@\s]+$")
    workers: int = Field(2, ge=1, le=16)
    serve_port: int = Field(5001, ge=1024, le=65535)
    serve_host: str = Field("127.0.0.1", pattern=r"^\d{1,3}(\.\d{1,3}){3}$")
    dask: str | None = None
    predictions_url: str | None = Field(None, repr=False)
    state_url: str | None = Field(None, repr=False)
    start_worker: bool = True
    clock_speed: float = Field(1.0, ge=1, le=1_000_000)
    hang_seconds: float = Field(60.0, ge=2, le=3600)
    webhook_secret: str | None = Field(None, repr=False, min_length=8)
    smtp_password: str | None = Field(None, repr=False, min_length=1)
    login: bool = False
    allowed_hosts: str | None = None
    allowed_emails: str | None = Field(None, repr=False)
    roles: str | None = Field(None, repr=False)
    language: Literal["en", "pt"] = "en"

    @model_validator(mode="before")
    @classmethod
    def _enters_the_nested_home(cls, values: Any) -> Any:
        name = values.get("project") if isinstance(values, dict) else None
        if not isinstance(name, str) or not is_project_name(name):
            return values
        try:
            given = Path(values.get("home") or _usual_home())
        except TypeError:
            return values  # the field's own check says what is wrong
        home = given if _has_project(given, name) else given / PROJECTS / name
        if not _has_project(home, name):
            return values
        home = home.resolve()
        store = values.get("tracking_uri") or _store_in(home.parent.parent)
        return {**values, "home": home, "tracking_uri": store}

    @field_validator("predictions_url")
    @classmethod
    def _is_a_known_database(cls, value: str | None) -> str | None:
        known = r"(postgresql\+psycopg://[^/\s]+/|sqlite:////)"
        if value is not None and not re.match(known, value):
            raise ValueError(
                Message(
                    "use a form like {examples}",
                    examples=listed(
                        [
                            "postgresql+psycopg://name:password@host/database",
                            "sqlite:////absolute/path.db",
                        ],
                        "or",
                    ),
                )
            )
        return value

    @field_validator("state_url")
    @classmethod
    def _is_a_postgresql_database(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"postgresql\+psycopg://[^/\s]+/", value):
            raise ValueError(
                Message(
                    "use a form like {examples}",
                    examples="postgresql+psycopg://name:password@host/database",
                )
            )
        return value

    @field_validator("dask")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        address = re.fullmatch(r"(?:tcp|tls)://[^@\s/]+:(\d{1,5})", value or "")
        if value is not None and not (address and 1 <= int(address[1]) <= 65535):
            raise ValueError(
                Message(
                    "use a form like {examples}",
                    examples=listed(["tcp://host:port", "tls://host:port"], "or"),
                )
            )
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, value: str | None) -> str | None:
        if value is None:
            return None
        hosts = [host.strip().lower() for host in value.split(",") if host.strip()]
        name = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:\d{1,5})?"
        if not hosts or any(not re.fullmatch(name, host) for host in hosts):
            raise ValueError(
                Message(
                    "use a form like {examples}", examples="courtside.example.org,192.168.1.5:8501"
                )
            )
        return ",".join(hosts)

    @field_validator("allowed_emails")
    @classmethod
    def _are_addresses(cls, value: str | None) -> str | None:
        if value is None:
            return None
        addresses = [address.strip() for address in value.split(",") if address.strip()]
        odd = [address for address in addresses if not re.fullmatch(r"[^@\s]*@[^@\s]+", address)]
        if odd or not addresses:
            raise ValueError(
                Message("use a form like {examples}", examples="ana@example.org,@example.com")
            )
        return ",".join(addresses)

    @field_validator("roles")
    @classmethod
    def _are_roles(cls, value: str | None) -> str | None:
        if value is None:
            return None
        entries = [entry.strip().lower() for entry in value.split(",") if entry.strip()]
        known = rf"[^=\s]([^=]*[^=\s])?=({'|'.join(ROLES)})"
        if not entries or any(not re.fullmatch(known, entry) for entry in entries):
            raise ValueError(
                Message(
                    "use a form like {examples}", examples="ana@example.org=admin,team=operator"
                )
            )
        return ",".join(entries)

    @model_validator(mode="after")
    def _allowed_emails_need_login(self) -> Settings:
        if self.allowed_emails and not self.login:
            # a list without a log-in would only look like protection
            raise needs("COURTSIDE_ALLOWED_EMAILS", "COURTSIDE_LOGIN=true")
        if self.roles and not self.login:
            raise needs("COURTSIDE_ROLES", "COURTSIDE_LOGIN=true")
        return self

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host names of the app and its endpoints, besides 127.0.0.1 and localhost.

        Examples
        --------
        >>> Settings(allowed_hosts="courtside.example.org, 192.168.1.5:8501").hosts
        ('courtside.example.org', '192.168.1.5:8501')
        """
        return tuple((self.allowed_hosts or "").split(",")) if self.allowed_hosts else ()

    def admits(self, email: str) -> bool:
        """Return whether this e-mail address may log in; case is ignored.

        Examples
        --------
        >>> s = Settings(login=True, allowed_emails="ana@example.org, @example.com")
        >>> s.admits("Ana@example.org"), s.admits("eve@example.org"), s.admits("bo@example.com")
        (True, False, True)
        >>> s.admits("@example.com"), s.admits("eve@evil.org@example.com")
        (False, False)
        """
        name, _, house = email.strip().lower().partition("@")
        if not name or not house or "@" in house:
            return False
        allowed = (self.allowed_emails or "").lower().split(",")
        return self.allowed_emails is None or f"{name}@{house}" in allowed or f"@{house}" in allowed

    def role_of(self, email: str, groups: Collection[str] = ()) -> Role:
        """Return the role of who logged in; case is ignored.

        An entry for the address counts before others; of those, the highest counts.

        Examples
        --------
        >>> roles = "ana@example.org=viewer,@example.org=operator,team=admin"
        >>> s = Settings(login=True, roles=roles)
        >>> s.role_of("Ana@example.org"), s.role_of("bo@example.org"), s.role_of("eve@example.com")
        ('viewer', 'operator', 'viewer')
        >>> s.role_of("eve@example.com", ["Team"]), Settings().role_of("")
        ('admin', 'admin')
        """
        if self.roles is None:
            return "admin"
        given = dict(entry.rsplit("=", 1) for entry in self.roles.split(","))
        name, _, house = email.strip().lower().partition("@")
        if name and house and "@" not in house:
            if own := given.get(f"{name}@{house}"):
                return cast("Role", own)
            groups = [*groups, f"@{house}"]
        roles = [given.get(group.strip().lower(), "viewer") for group in groups]
        return max((cast("Role", each) for each in roles), key=ROLES.index, default="viewer")

    @property
    def data_dir(self) -> Path:
        """Folder of the numbered data folders."""
        return self.home / "data"

    @property
    def state_dir(self) -> Path:
        """Folder of the app's own databases: jobs, queue, predictions, servers."""
        return self.home / "state"

    @property
    def logs_dir(self) -> Path:
        """Folder of the logs of the worker and of served models."""
        return self.home / "logs"

    @property
    def mlflow_uri(self) -> str:
        """The MLflow store's address, absolute."""
        return self.tracking_uri or _store_in(self.home)

    @property
    def is_nested(self) -> bool:
        """Whether the home is that of one project within the home of the app."""
        return _has_project(self.home, self.project)

    @property
    def outer_home(self) -> Path:
        """The home of the app, around that of the project if it is nested."""
        return self.home.parent.parent if self.is_nested else self.home

    @property
    def outer(self) -> Settings:
        """The settings of the project that lives in the app's home itself.

        Examples
        --------
        >>> Settings(home="/srv/courtside").outer.project
        'kobe'
        """
        if not self.is_nested:
            return self
        home = self.outer_home
        store = None if self.tracking_uri == _store_in(home) else self.tracking_uri
        update = {"home": home, "project": BUILT_IN, "tracking_uri": store}
        return self.model_copy(update=update)

    def of_project(self, name: str) -> Settings:
        """Return the settings of another project of the same app.

        Raises
        ------
        InputError
            If this cannot be the name of a project, or it has no home here.

        Examples
        --------
        >>> Settings(home="/srv/courtside").of_project("../kobe")
        Traceback (most recent call last):
        core.platform.errors.InputError: '../kobe' does not exist.
        """
        outer = self.outer
        if name == outer.project:
            return outer
        if is_project_name(name) and _has_project(outer.home / PROJECTS / name, name):
            return Settings(**{**outer.model_dump(), "project": name})
        raise InputError(Message("'{name}' does not exist.", name=name))

    def environment(self) -> dict[str, str]:
        """Return the environment variables that give a child process the same settings.

        Examples
        --------
        >>> s = Settings(home="/srv/courtside", workers=1)
        >>> Settings.load(s.environment()) == s
        True
        """
        variables = {
            PREFIX + name.upper(): str(value)
            for name, value in self.model_dump(exclude={"tracking_uri"}, mode="json").items()
            if value is not None
        }
        if self.tracking_uri:
            variables["MLFLOW_TRACKING_URI"] = self.tracking_uri
        return variables

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from the environment.

        Raises
        ------
        InputError
            For an unknown `COURTSIDE_` variable or a value out of range.

        Examples
        --------
        >>> Settings.load({"COURTSIDE_WORKERS": "1"}).workers
        1
        >>> Settings.load({"COURTSIDE_WORKER": "1"})
        Traceback (most recent call last):
        core.platform.errors.InputError: 'COURTSIDE_WORKER' does not exist. Did you mean ...
        """
        environ = os.environ if environ is None else environ
        names = [PREFIX + name.upper() for name in cls.model_fields if name != "tracking_uri"]
        values: dict[str, Any] = {}
        for key, value in environ.items():
            if not key.startswith(PREFIX) or not value:
                continue
            if key not in names:
                ends = [name.removeprefix(PREFIX) for name in names]
                close = difflib.get_close_matches(key.removeprefix(PREFIX), ends, n=1)
                if not close:
                    raise InputError(
                        Message(
                            "'{name}' does not exist. Choose from: {names}.", name=key, names=names
                        )
                    )
                hint = Message("Did you mean {name}?", name=PREFIX + close[0])
                raise InputError(sentences(Message("'{name}' does not exist.", name=key), hint))
            values[key.removeprefix(PREFIX).lower()] = value
        if environ.get("MLFLOW_TRACKING_URI"):
            values["tracking_uri"] = environ["MLFLOW_TRACKING_URI"]
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise InputError(sentence(error, PREFIX)) from error
        raw = settings.raw_dir.resolve() if settings.raw_dir else None
        uri = settings.tracking_uri
        if uri and uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_absolute():
            # the worker and the servers run in other folders but use the same store
            uri = SQLITE + Path(uri.removeprefix(SQLITE)).resolve().as_posix()
        update = {"home": settings.home.resolve(), "raw_dir": raw, "tracking_uri": uri}
        return settings.model_copy(update=update)


def is_project_name(name: str) -> bool:
    """Return whether this can be the name of a project, and so of a folder.

    Examples
    --------
    >>> is_project_name("late_parcels"), is_project_name("../kobe")
    (True, False)
    """
    return re.fullmatch(_PROJECT_NAME, name) is not None


def _has_project(home: Path, name: str) -> bool:
    """Return whether this is the nested home of a project."""
    is_place = home.name == name and home.parent.name == PROJECTS
    return is_place and (home / PROJECT_FILE).is_file()


def _store_in(home: Path) -> str:
    return f"{SQLITE}{(home / 'mlflow.db').as_posix()}"


def sentence(error: ValidationError, prefix: str = "") -> Message:
    """Return the first fault of a pydantic error as a sentence.

    Examples
    --------
    >>> try:
    ...     Settings(workers=99)
    ... except ValidationError as error:
    ...     str(sentence(error))
    'workers: input should be less than or equal to 16 (given: 99).'
    """
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    where = prefix + where.upper() if prefix and where else where
    own = first["type"] == "value_error"
    # pydantic's own texts are English only
    reason = words_of(first["ctx"]["error"]) if own else first["msg"]
    if isinstance(reason, str):
        reason = f"{reason[:1].lower()}{reason[1:]}"
    if not where:
        # concerns several choices together: the input is all of them
        return Message("{reason!c}.", reason=reason)
    if str(first["loc"][-1]).endswith(("_url", "_secret", "_password")):  # it may hold a password
        return Message("{where}: {reason}.", where=where, reason=reason)
    return Message(
        "{where}: {reason} (given: {given}).",
        where=where,
        reason=reason,
        given=repr(first["input"]),
    )
