"""The command line: every step, and related commands.

Standard output is one JSON object; progress goes to standard error. Exit codes: 0 done, 1 refused
or failed, 2 invalid command, 130 interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from core.platform import messages, privacy, projects, steps, store_faults
from core.platform.config import PREFIX, Options, Settings
from core.platform.errors import CourtsideError, InputError, StoreError, masked
from core.platform.messages import Message, _
from core.runtime import command_options
from core.runtime.command_options import UsageError
from core.runtime.printed_progress import PrintedProgress

DONE, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130
STEPS = {step.name: step.summary for step in steps.STEPS}
OTHERS = {
    "new": Message(
        "a project from a CSV, parquet or zip: guesses its target, types, id, time and leaks"
    ),
    "lifecycle": Message("all steps on one source: acquire, prepare, train, serve, score, monitor"),
    "documents": Message("the documents of the project, as a zip or as a folder of Markdown"),
    "status": Message("the state of data, runs, champion and endpoints"),
    "projects": Message("the projects of the home: list, add from a file, delete, restore"),
    "worker": Message("run the jobs that pages and schedules queue, until it is stopped"),
    "reset": Message("move everything the app wrote into a backup, or restore one"),
}

# port of the app
APP = "http://127.0.0.1:8501"
CODES = Message(
    "Output is one JSON object; exit codes: 0 done, 1 refused or failed, 2 not understood, "
    "130 interrupted."
)


def main(arguments: Sequence[str]) -> int:
    """Run a command line, and return the exit code.

    Examples
    --------
    >>> main(["status", "--home", "/nowhere/at/all"])
    {"status": "refused", "command": "status", "error": "'/nowhere/at/all' does not exist."}
    1
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        with messages.speaking(_language()):
            print(_overview())  # noqa: T201
        return DONE if arguments else USAGE
    arguments = _command_first(arguments)
    name = arguments[0]
    if name not in STEPS and name not in OTHERS:
        with messages.speaking(_language()):
            text = f"{_('There is no command {name}.', name=repr(name))}\n\n{_overview()}"
            print(text, file=sys.stderr)  # noqa: T201
        return USAGE
    try:
        # the options of a step are described by the code, in English
        with messages.speaking(_language() if name in OTHERS else "en"):
            parser = _parser(name)
            given = parser.parse_args(arguments[1:])
    except SystemExit as end:
        return DONE if not end.code else USAGE
    _listen()
    began = time.time()
    progress = PrintedProgress(given.quiet)
    try:
        with privacy.umask(privacy.MASK) as given.umask:
            code, answer = _done(name, given, progress)
    except UsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)  # noqa: T201
        return USAGE
    if progress.run_id and "run_id" not in answer:
        answer["run_id"] = progress.run_id
    if code == DONE:
        answer["seconds"] = round(time.time() - began, 3)
    print(json.dumps(answer, default=str))  # noqa: T201
    return code


def _command_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with options that may precede the command moved behind it.

    Examples
    --------
    >>> _command_first(["--project", "rain", "status", "--quiet"])
    ['status', '--quiet', '--project', 'rain']
    """
    words, before = list(arguments), []
    while words[0].partition("=")[0] in ("--home", "--project"):
        size = 1 if "=" in words[0] else 2
        if len(words) <= size:
            break
        before += words[:size]
        words = words[size:]
    return [*words, *before]


def _done(
    name: str, given: argparse.Namespace, progress: PrintedProgress
) -> tuple[int, dict[str, Any]]:
    """Run the command, and return the exit code and the output, in the language of the settings."""
    with ExitStack() as language:
        code, answer = _ran(name, given, progress, language)
        shown: dict[str, Any] = _in_words(answer)
    return code, shown


def _ran(
    name: str, given: argparse.Namespace, progress: PrintedProgress, language: ExitStack
) -> tuple[int, dict[str, Any]]:
    try:
        settings = _settings(given)
        language.enter_context(messages.speaking(settings.language))
        done = _COMMANDS[name](settings, given, progress) if name in OTHERS else None
        if done is None:
            done = _step(settings, name, command_options.chosen(name, given, settings), progress)
        return DONE, {"status": "done", "command": name, **done}
    except UsageError:
        raise
    except CourtsideError as error:
        return REFUSED, {"status": "refused", "command": name, "error": error.message}
    except KeyboardInterrupt:
        return INTERRUPTED, {"status": "interrupted", "command": name}
    except Exception as error:  # noqa: BLE001  every error must be in the JSON
        known = store_faults.of_disk(error) if isinstance(error, OSError) else None
        if known is not None:
            return REFUSED, {"status": "refused", "command": name, "error": known.message}
        reason = Message(
            "This failed unexpectedly. {error_type}: {error}",
            error_type=type(error).__name__,
            error=error,
        )
        return REFUSED, {"status": "failed", "command": name, "error": masked(reason)}


def _in_words(value: Any) -> Any:
    """Return an answer with its messages in words."""
    if isinstance(value, Message):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _in_words(part) for name, part in value.items()}
    return [_in_words(part) for part in value] if isinstance(value, list | tuple) else value


def _listen() -> None:
    """Treat termination signals like Ctrl-C: the run is ended, servers are not."""
    for kind in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(kind) != signal.SIG_IGN:  # respect nohup
            signal.signal(kind, _interrupt)


def _interrupt(*_signal: object) -> None:
    raise KeyboardInterrupt


def _language() -> str:
    """Return the language of the settings, for help; English if they cannot be read."""
    try:
        return Settings.load().language
    except InputError:
        return "en"


def _overview() -> str:
    lines = [f"  {name:<10} {about}" for name, about in {**STEPS, **OTHERS}.items()]
    usage = _("usage: python -m core <command> [options]")
    more = _(
        "`python -m core <command> --help` lists its options. Settings are read from the "
        "environment ({prefix}...).",
        prefix=PREFIX,
    )
    return f"{usage}\n\n" + "\n".join(lines) + f"\n\n{more}\n{CODES}"


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m core {name}",
        description=str(Message("{reason!c}.", reason={**STEPS, **OTHERS}[name])),
        allow_abbrev=False,
        epilog=str(CODES),
        formatter_class=command_options.HelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=_("show this help and exit"))
    parser.add_argument("--home", type=Path, help=_("folder that the app writes to"), default=None)
    parser.add_argument("--project", help=_("name of a project"), default=None)
    parser.add_argument("--quiet", action="store_true", help=_("no progress on standard error"))
    if name in STEPS:
        command_options.add(parser, name)
    elif name == "new":
        from core.runtime import new_project

        new_project.add_options(parser)
    elif name == "lifecycle":
        parser.add_argument("--data", choices=("sample", "folder", "download"), default="sample")
    elif name == "documents":
        parser.add_argument("--out", type=Path, help=_("path of the zip"), default=None)
        parser.add_argument("--snapshot", type=Path, help=_("folder of Markdown"), default=None)
        parser.add_argument("--language", choices=("en", "pt"), default="en")
    elif name == "projects":
        from core.runtime import project_commands

        project_commands.add_options(parser)
    elif name == "worker":
        parser.add_argument("--only", nargs="+", choices=STEPS, default=[])
    elif name == "reset":
        about_yes = _("required to confirm")
        parser.add_argument("--yes", action="store_true", help=about_yes)
        parser.add_argument("--restore", help=_("name of the backup to restore"), default=None)
    return parser


def _settings(given: argparse.Namespace) -> Settings:
    environ = dict(os.environ)
    if given.home is not None:
        if not given.home.is_dir():
            raise InputError(Message("'{name}' does not exist.", name=given.home))
        environ[f"{PREFIX}HOME"] = str(given.home)
    if given.project is not None:
        environ[f"{PREFIX}PROJECT"] = given.project
    return projects.settle(Settings.load(environ))


def _step(
    settings: Settings, name: str, options: Options, progress: PrintedProgress
) -> dict[str, Any]:
    from core.monitoring.records import ReportRun
    from core.platform import tracking
    from core.serving.records import ServingRun

    result = steps.module(name).run(settings, options, progress)
    # `asdict` takes messages apart too
    answer: dict[str, Any] = {"result": messages.from_data(dataclasses.asdict(result))}
    run = tracking.run(settings, progress.run_id) if progress.run_id else None
    if run is not None:
        answer |= {"run": run.name, "run_id": run.run_id, "metrics": dict(run.metrics)}
        of_project = f"&project={settings.project}" if settings.is_nested else ""
        answer["links"] = {"run": f"{APP}/runs?run={run.run_id}{of_project}"}
        if url := ServingRun.of(run).url:
            answer["links"]["endpoint"] = url
        report = ReportRun.of(run)
        if report.verdict_title:
            answer |= {"verdict": report.verdict_title, "verdict_code": report.verdict}
    return answer


def _lifecycle(
    settings: Settings, given: argparse.Namespace, progress: PrintedProgress
) -> dict[str, Any]:
    from core.platform import lifecycle

    return _all(progress, settings, lifecycle.whole(given.data))


def _all(
    progress: PrintedProgress, settings: Settings, several: Sequence[tuple[str, dict[str, Any]]]
) -> dict[str, Any]:
    """Run several steps; `progress` remembers the run of the last one."""
    stages = []
    for name, values in several:
        of_stage = PrintedProgress(progress.quiet)
        of_stage.update(0, name)
        done = _step(settings, name, steps.module(name).Options(**values), of_stage)
        stages.append({"command": name, **done})
        progress.run_id = of_stage.run_id
    last = stages[-1]
    return {
        "steps": stages,
        "verdict": last.get("verdict"),
        "verdict_code": last.get("verdict_code"),
    }


def _new(
    settings: Settings, given: argparse.Namespace, progress: PrintedProgress
) -> dict[str, Any]:
    from core.runtime import new_project

    return new_project.run(settings, given, partial(_all, progress))


def _documents(
    settings: Settings, given: argparse.Namespace, progress: PrintedProgress
) -> dict[str, Any]:
    from core.documents import export
    from core.documents import gather as documents

    if (given.out is None) == (given.snapshot is None):
        raise UsageError("give either --out or --snapshot")
    if given.snapshot is not None:
        with privacy.umask(given.umask):
            return {"files": export.snapshot(settings, given.snapshot, language=given.language)}
    facts = documents.gather(settings)
    built = documents.of(facts, given.language)
    content = export.bundle(built, facts, language=given.language)
    try:
        # an output file elsewhere gets the user's normal permissions
        with privacy.umask(given.umask):
            given.out.write_bytes(content)
    except OSError as error:
        raise InputError(
            Message("{path} cannot be written: {reason}.", path=given.out, reason=error.strerror)
        ) from error
    return {
        "file": str(given.out),
        "bytes": len(content),
        "documents": [document.name for document in built],
    }


def _status(
    settings: Settings, given: argparse.Namespace, progress: PrintedProgress
) -> dict[str, Any]:
    from core.data import snapshots
    from core.monitoring.records import ReportRun
    from core.platform import model_store, project, storage, tracking

    spec = project.of(settings)
    champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    snapshot, prepared = snapshots.current(settings), storage.current_prepared(settings)
    runs = {step: tracking.last_run(settings, step) for step in steps.RUN_NAMES}
    report = ReportRun.of(runs["monitor"]) if runs["monitor"] else ReportRun()
    return {
        "project": project.words(spec.title),
        "snapshot": snapshot.id if snapshot else None,
        "prepared": prepared.run_id if prepared else None,
        "champion": champion.version if champion else None,
        **_served(settings),
        "verdict": report.verdict_title or None,
        "verdict_code": report.verdict or None,
        "runs": {step: run.run_id for step, run in runs.items() if run is not None},
    }


def _served(settings: Settings) -> dict[str, Any]:
    from core.serving import server

    try:
        endpoints = server.servers(settings)
    except StoreError as error:
        return {"served": [], "damaged": [error.message]}
    served = [
        {"port": endpoint.port, "version": endpoint.version, "state": endpoint.state}
        for endpoint in endpoints
    ]
    return {"served": served, "damaged": []}


def _reset(
    settings: Settings, given: argparse.Namespace, progress: PrintedProgress
) -> dict[str, Any]:
    from core.runtime import backup

    if not given.yes:
        raise UsageError("it moves everything the app wrote into a backup; say --yes if it may")
    return {"backup": backup.now(settings, given.restore), "restored": given.restore}


def _projects(
    settings: Settings, given: argparse.Namespace, progress: PrintedProgress
) -> dict[str, Any]:
    from core.runtime import project_commands

    return project_commands.run(settings, given)


def _worker(
    settings: Settings, given: argparse.Namespace, progress: PrintedProgress
) -> dict[str, Any]:
    from core.runtime import standalone

    standalone.work(settings, given.only)
    return {"home": str(settings.home)}


Command = Callable[[Settings, argparse.Namespace, PrintedProgress], dict[str, Any]]
_COMMANDS: Mapping[str, Command] = {
    "new": _new,
    "lifecycle": _lifecycle,
    "documents": _documents,
    "status": _status,
    "projects": _projects,
    "worker": _worker,
    "reset": _reset,
}
