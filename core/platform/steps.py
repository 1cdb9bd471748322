"""The steps of the life cycle in order: where each lives, what it reads and writes.

The only list of steps: runs, jobs, commands, navigation, diagram, list of artifacts and a project's
checklist derive from it. Paths of artifacts are in `core.platform.artifacts`; a test checks that
the steps write what is listed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from core.platform import artifacts
from core.platform.artifacts import (
    CHALLENGER,
    CHAMPION,
    CURRENT,
    ENDPOINT,
    LOG,
    RAW,
    REPORT,
    SCORED,
    TEST_PREDICTIONS,
    TEST_ROWS,
    TEST_SET,
    TRAIN_ROWS,
    TRAIN_SET,
)
from core.platform.artifacts import EVERY_RUN as EVERY_RUN
from core.platform.artifacts import FILTERED as FILTERED
from core.platform.artifacts import Artifact as Artifact
from core.platform.messages import Message

# comes from outside, so no step writes it
SOURCE = "source"
REQUESTS = "requests"
OUTCOMES = "labels"
POLICY = "policy"


@dataclass(frozen=True)
class Step:
    """A step of the life cycle.

    Parameters
    ----------
    name, run_name : str
        Name of its module and command, and of its MLflow run.
    package : str
        The package of core with its module.
    page, icon : str
        Its page: the file, a Material symbol.
    title : Message
        Its page's title in the navigation.
    summary : Message
        Help text of its command, half a line.
    about : Message
        What it does, in a sentence.
    reads : tuple of str
        Paths of other steps' artifacts, or input from outside.
    next : tuple of str
        Steps that continue from it.
    phase : {"development", "operation"}
        Whether it builds a model or operates one.
    """

    name: str
    run_name: str
    package: str
    page: str
    title: Message
    icon: str
    summary: Message
    about: Message
    reads: tuple[str, ...]
    outputs: tuple[Artifact, ...]
    next: tuple[str, ...]
    phase: Literal["development", "operation"] = "development"
    view: str = ""


STEPS: tuple[Step, ...] = (
    Step(
        "acquire",
        "AquisicaoDados",
        "data",
        "data",
        Message("Acquire"),
        "download",
        Message("import raw data: the sample, files, or the project's download"),
        Message("Import the built-in sample or your own files, and check every column."),
        (SOURCE,),
        artifacts.ACQUIRE,
        ("prepare", "replay"),
        view="source",
    ),
    Step(
        "prepare",
        "PreparacaoDados",
        "data",
        "data",
        Message("Prepare"),
        "filter_alt",
        Message("choose rows and columns, and split them into a training and a test set"),
        Message("Choose rows and columns, and split them into a training and a test set."),
        (RAW, CURRENT),
        artifacts.PREPARE,
        ("train",),
        view="prepare",
    ),
    Step(
        "train",
        "Treinamento",
        "training",
        "train",
        Message("Train"),
        "model_training",
        Message("train candidates, compare them, register the best"),
        Message(
            "Cross-validate candidates with PyCaret, evaluate each on the test set, and register "
            "the best."
        ),
        (TRAIN_SET, TEST_SET, TRAIN_ROWS, TEST_ROWS),
        artifacts.TRAIN,
        ("promote", "explain", "serve"),
    ),
    Step(
        "promote",
        "Promocao",
        "registry",
        "registry",
        Message("Registry"),
        "inventory_2",
        Message("evaluate a challenger at the gate, promote it, or roll back"),
        Message(
            "Compare challenger and champion on the same rows, and promote the challenger or not; "
            "or roll back."
        ),
        (CHALLENGER, CHAMPION, TEST_PREDICTIONS),
        artifacts.PROMOTE,
        ("serve",),
        view="decide",
    ),
    Step(
        "explain",
        "Explicacao",
        "training",
        "train",
        Message("Explain"),
        "lightbulb",
        Message("what the probabilities depend on, overall or for one row"),
        Message("Show what a model's probabilities depend on, overall or for one row."),
        (CHAMPION, TEST_PREDICTIONS),
        artifacts.EXPLAIN,
        (),
        view="explain",
    ),
    Step(
        "serve",
        "Disponibilizacao",
        "serving",
        "serve",
        Message("Serve"),
        "dns",
        Message("start an endpoint, or change the version that it serves"),
        Message("Serve the champion with MLflow, and check and log every request."),
        (CHAMPION,),
        artifacts.SERVE,
        ("score",),
        "operation",
    ),
    Step(
        "score",
        "PipelineAplicacao",
        "scoring",
        "score",
        Message("Score"),
        "target",
        Message("score the production rows, a file, or one row"),
        Message("Score rows with the served model, or large files in parallel."),
        (ENDPOINT, CHAMPION, RAW, REQUESTS),
        artifacts.SCORE,
        ("label", "monitor"),
        "operation",
        view="rows",
    ),
    Step(
        "label",
        "RecepcaoRotulos",
        "scoring",
        "score",
        Message("Labels"),
        "new_label",
        Message("import the labels of predictions"),
        Message("Import the labels of predictions, once they are known."),
        (LOG, OUTCOMES),
        artifacts.LABEL,
        ("monitor",),
        "operation",
        view="labels",
    ),
    Step(
        "monitor",
        "Monitoramento",
        "monitoring",
        "monitor",
        Message("Monitor"),
        "monitor_heart",
        Message("compare scored rows with the reference, and judge whether the model fits"),
        Message("Compare scored rows with the reference, and judge whether the model fits."),
        (SCORED, LOG, TEST_PREDICTIONS, "run: tables/test_rows.parquet"),
        artifacts.MONITOR,
        ("retrain",),
        "operation",
        "report",
    ),
    Step(
        "retrain",
        "Retreinamento",
        "retraining",
        "retrain",
        Message("Retrain"),
        "autorenew",
        Message("apply the retraining policy, and retrain if it says so"),
        Message(
            "Apply the retraining policy; if it says so, prepare, train and run the gate, in "
            "nested runs."
        ),
        (REPORT, "run: tables/checks.parquet", POLICY, LOG),
        artifacts.RETRAIN,
        ("promote",),
        "operation",
    ),
    Step(
        "replay",
        "Simulacao",
        "retraining",
        "retrain",
        Message("Replay"),
        "replay",
        Message("simulate several policies on labelled history, and compare them"),
        Message(
            "Replay labelled rows in order of time with each retraining policy, and compare cost "
            "and gain."
        ),
        (RAW, CURRENT),
        artifacts.REPLAY,
        ("retrain",),
        view="replay",
    ),
)


RUN_NAMES = {step.name: step.run_name for step in STEPS}


def named(name: str) -> Step:
    """Return the step with this name.

    Examples
    --------
    >>> named("prepare").run_name, named("prepare").next
    ('PreparacaoDados', ('train',))
    """
    return next(step for step in STEPS if step.name == name)


def module_name(name: str) -> str:
    """Return the full name of a step's module.

    Examples
    --------
    >>> module_name("prepare")
    'core.data.prepare'
    """
    return f"core.{named(name).package}.{name}"


def module(name: str) -> Any:
    """Import a step's module, which has `Options` and `run(settings, options, progress)`."""
    return import_module(module_name(name))
