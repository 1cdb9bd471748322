"""The projects of a home: listed, created from a file, edited, exported.

The built-in project is in the home itself, every other one in its own home,
`<home>/projects/<name>/`, with its project file. Only the MLflow store is shared.
"""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from core.platform import permissions, plugins, privacy, project, toml_lines
from core.platform.config import BUILT_IN, PROJECT_FILE, PROJECTS, Settings, exists, is_project_name
from core.platform.errors import InputError, StoreError, words_of
from core.platform.messages import Message, Words
from core.platform.project import ProjectSpec

BUILT_IN_STAYS = Message(
    "The built-in project can only be reset, on its Overview page. To edit it, export it and "
    "import a copy."
)
# the steps of a life cycle whose results depend on those before
CHAIN = ("acquire", "prepare", "train", "serve", "score", "monitor")
# parts of a project file that only training reads
_OF_TRAINING = ("model", "threshold", "threshold_by", "balanced", "weights")
# parts that need code of the project's own
_WITH_CODE = {"sample": "sample", "court": "court_map"}


@dataclass(frozen=True)
class Listed:
    """A project of a home.

    Parameters
    ----------
    settings : Settings
        Of the project.
    spec : ProjectSpec or None
        None if its file cannot be used.
    fault : Words
        Why; empty if it can.
    """

    settings: Settings
    spec: ProjectSpec | None
    fault: Words = ""

    @property
    def name(self) -> str:
        """The project's name."""
        return self.settings.project

    @property
    def title(self) -> Words:
        """The project's title, its name if the file cannot be used."""
        return self.name if self.spec is None else project.words(self.spec.title)


def names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the projects of the home: first the one that lives in it itself.

    Examples
    --------
    >>> names(Settings(home="/srv/courtside"))
    ('kobe',)
    """
    outer = settings.outer
    places = (outer.home / PROJECTS).glob(f"*/{PROJECT_FILE}")
    nested = sorted(place.parent.name for place in places if is_project_name(place.parent.name))
    return (outer.project, *(name for name in nested if name != outer.project))


def homes(settings: Settings) -> list[Settings]:
    """Return the settings of each project of the home, also of those with an invalid file."""
    return [settings.of_project(name) for name in names(settings)]


def listed(settings: Settings) -> list[Listed]:
    """Return the projects of the home, each with its file or with what is wrong with it."""
    return [_listed(each) for each in homes(settings)]


def _listed(settings: Settings) -> Listed:
    try:
        return Listed(settings, project.of(settings))
    except InputError as error:
        return Listed(settings, None, words_of(error))


def examples(settings: Settings) -> tuple[str, ...]:
    """Return the names of built-in projects that the home does not have yet."""
    known = names(settings)
    return tuple(name for name in project.built_in() if name not in known)


def text_of(settings: Settings) -> str:
    """Return the project file of these settings.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    if not settings.is_nested:
        return project.text_of(settings.project)
    try:
        return (settings.home / PROJECT_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise StoreError(_unusable(settings.home / PROJECT_FILE, error)) from error


@permissions.needs("project")
def create(settings: Settings, text: str) -> Settings:
    """Create a project from the text of its file, and return its settings.

    Raises
    ------
    InputError
        If the file is invalid, with the line; or if its name or its model is another project's.
    StoreError
        If the home cannot be written.
    """
    spec = project.parse(text)
    if spec.name in {*names(settings), *project.built_in()}:
        raise _at(text, ("name",), exists(spec.name))
    _check(settings, text, spec)
    return _begin(settings, spec.name, text)


@permissions.needs("project")
def add_example(settings: Settings, name: str) -> Settings:
    """Create a home for a built-in project, and return its settings.

    Raises
    ------
    InputError
        If there is none of this name, or the home has it already.
    """
    if name not in examples(settings):
        raise InputError(
            Message(
                "'{name}' does not exist. Choose from: {names}.",
                name=name,
                names=list(examples(settings)),
            )
        )
    return _begin(settings, name, project.text_of(name))


@permissions.needs("project")
def edit(settings: Settings, text: str) -> tuple[str, ...]:
    """Replace the file of a project, and return the steps whose results it makes outdated.

    Raises
    ------
    InputError
        If the file is invalid, with the line; if it changes the name; or if the project is the
        built-in one. The old file stays.
    StoreError
        If the home cannot be written.
    """
    if not settings.is_nested:
        raise InputError(BUILT_IN_STAYS)
    spec = project.parse(text)
    if spec.name != settings.project:
        raise _at(
            text,
            ("name",),
            Message(
                "the name must remain {name}; a new name is a new project", name=settings.project
            ),
        )
    _check(settings, text, spec)
    before = _listed(settings).spec
    path = settings.home / PROJECT_FILE
    try:
        privacy.replace(path, text.encode())
    except OSError as error:
        raise StoreError(_unusable(path, error)) from error
    return CHAIN if before is None else outdated(before, spec)


def outdated(before: ProjectSpec, after: ProjectSpec) -> tuple[str, ...]:
    """Return the steps whose results are not valid for the changed file.

    Examples
    --------
    >>> spec = project.load("kobe")
    >>> outdated(spec, spec.model_copy(update={"title": "Shots"}))
    ()
    >>> outdated(spec, spec.model_copy(update={"threshold": 0.4}))
    ('train', 'serve', 'score', 'monitor')
    """
    if before.digest != after.digest:
        return CHAIN
    old, new = before.model_dump(), after.model_dump()
    if any(old.get(name) != new.get(name) for name in _OF_TRAINING):
        return CHAIN[CHAIN.index("train") :]
    return ()


def settle(settings: Settings) -> Settings:
    """Return the settings to begin with: a built-in example gets a home nested in an empty one.

    So that no two projects share the home's data. A home that another project has used as its own
    stays as it is.

    Raises
    ------
    InputError
        If there is no such project.
    """
    name = settings.project
    if settings.is_nested or name == BUILT_IN:
        return settings
    if name not in project.built_in():
        known = sorted({*project.built_in(), *names(settings)} - {name})
        raise InputError(
            Message("'{name}' does not exist. Choose from: {names}.", name=name, names=known)
        )
    if _is_used(settings.home):
        return settings
    return add_example(settings.model_copy(update={"project": BUILT_IN}), name)


def _is_used(home: Path) -> bool:
    """Return whether a project keeps its data in the home itself."""
    raw = home / "data" / "01_raw"
    return raw.is_dir() and any(not path.name.startswith(".") for path in raw.iterdir())


def _check(settings: Settings, text: str, spec: ProjectSpec) -> None:
    """Raise InputError for what is valid by itself, and not in this home."""
    if not is_project_name(spec.name):
        raise _at(text, ("name",), not_a_name(spec.name))
    others = [each for each in listed(settings) if each.name != spec.name]
    if spec.model in {each.spec.model for each in others if each.spec}:
        raise _at(text, ("model",), model_is_taken(spec.model))
    for part, module in _WITH_CODE.items():
        if getattr(spec, part, None) is not None and not plugins.has(spec.name, module):
            raise _at(
                text,
                (part,),
                Message("[{part}] needs code that only a built-in project has", part=part),
            )


def not_a_name(name: str) -> Message:
    """Return why this cannot be the name of a project."""
    return Message(
        "'{name}' cannot be a project's name: at most 40 lower-case letters, digits and _, a "
        "letter first",
        name=name,
    )


def model_is_taken(name: str) -> Message:
    """Return why a project cannot have this registered model."""
    return Message(
        "{model} belongs to another project; delete that one, or name another model", model=name
    )


def _at(text: str, key: tuple[str, ...], fault: Message) -> InputError:
    """Return an error at the line of a key."""
    line = toml_lines.line_of(toml_lines.lines(text), key) or 1
    reason = Message("{where}: {reason}.", where=".".join(key), reason=fault)
    return InputError(project.unusable(PROJECT_FILE, reason, line))


def _begin(settings: Settings, name: str, text: str) -> Settings:
    """Create the nested home: it is there with its file, or not at all."""
    folder = settings.outer_home / PROJECTS
    place = folder / f".{name}.{uuid.uuid4().hex[:8]}"
    try:
        place.mkdir(parents=True, mode=0o700)
        privacy.replace(place / PROJECT_FILE, text.encode())
        os.rename(place, folder / name)
    except OSError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise StoreError(_unusable(folder / name, error)) from error
    return settings.of_project(name)


def _unusable(path: Path, error: OSError) -> Message:
    return Message("{name} cannot be used: {reason}", name=path, reason=error.strerror)
