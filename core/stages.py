"""Stages: the steps of the life cycle in their order, what each reads, and what each leaves.

Told once, here and in `core.artifacts`: the diagram, the list of artifacts and the checklist are
made from it, and a test holds that the steps leave what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core import artifacts
from core.artifacts import (
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
from core.artifacts import EVERY_RUN as EVERY_RUN
from core.artifacts import FILTERED as FILTERED
from core.artifacts import Artifact as Artifact

# comes from outside, so that no stage leaves it
SOURCE = "a source"
REQUESTS = "requests"
OUTCOMES = "labels, when they come"
POLICY = "state/policy.json"
OUTSIDE = (SOURCE, REQUESTS, OUTCOMES, POLICY)


@dataclass(frozen=True)
class Stage:
    """A step of the life cycle.

    Parameters
    ----------
    step, run_name : str
        As the code calls it, and what its MLflow run is called.
    title : str
        Name of the page where it is taken.
    about : str
        What it does, a sentence.
    reads : tuple of str
        Paths of artifacts that other stages leave, or one of OUTSIDE.
    leaves : tuple of Artifact
    next : tuple of str
        Steps that go on from it.
    phase : {"development", "operation"}
        Whether a model is made, or is at work.
    """

    step: str
    run_name: str
    title: str
    about: str
    reads: tuple[str, ...]
    leaves: tuple[Artifact, ...]
    next: tuple[str, ...]
    phase: Literal["development", "operation"] = "development"


STAGES: tuple[Stage, ...] = (
    Stage(
        "acquire", "AquisicaoDados", "Acquire",
        "Brings a source in unchanged, checks every column, and makes it the raw data that all "
        "later steps read.",
        (SOURCE,),
        artifacts.ACQUIRE,
        ("prepare", "replay"),
    ),
    Stage(
        "prepare", "PreparacaoDados", "Prepare",
        "Chooses rows and columns, drops or keeps missing values, and divides the rows into a "
        "training and a test set.",
        (RAW, CURRENT),
        artifacts.PREPARE,
        ("train",),
    ),
    Stage(
        "train", "Treinamento", "Train",
        "Cross-validates candidates with PyCaret, judges each on the test set in a run of its own, "
        "and registers the best as challenger.",
        (TRAIN_SET, TEST_SET, TRAIN_ROWS, TEST_ROWS),
        artifacts.TRAIN,
        ("promote", "explain", "serve"),
    ),
    Stage(
        "promote", "Promocao", "Registry",
        "Asks challenger and champion about the same rows, and lets the challenger take the "
        "champion's place, or not, with reasons; or goes back to the previous champion.",
        (CHALLENGER, CHAMPION, TEST_PREDICTIONS),
        artifacts.PROMOTE,
        ("serve",),
    ),
    Stage(
        "explain", "Explicacao", "Explain",
        "Tells what the probabilities of a model hang on, in general or for a single row.",
        (CHAMPION, TEST_PREDICTIONS),
        artifacts.EXPLAIN,
        (),
    ),
    Stage(
        "serve", "Disponibilizacao", "Serve",
        "Starts `mlflow models serve` for the champion, behind a gateway that keeps the contract "
        "and the log, and holds it up.",
        (CHAMPION,),
        artifacts.SERVE,
        ("score",),
        "operation",
    ),
    Stage(
        "score", "PipelineAplicacao", "Score",
        "Sends rows to the champion's endpoint with `requests`, or scores large files in "
        "processes beside each other, and keeps every answer.",
        (ENDPOINT, CHAMPION, RAW, REQUESTS),
        artifacts.SCORE,
        ("label", "monitor"),
        "operation",
    ),
    Stage(
        "label", "RecepcaoRotulos", "Predictions",
        "Takes in what became of predictions, whenever it is known, and joins it to the answers.",
        (LOG, OUTCOMES),
        artifacts.LABEL,
        ("monitor",),
        "operation",
    ),
    Stage(
        "monitor", "Monitoramento", "Monitor",
        "Compares answers with the model's own test set, with and without labels, and says in a "
        "sentence whether the model fits, and what to do.",
        (SCORED, LOG, TEST_PREDICTIONS, "run: tables/test_rows.parquet"),
        artifacts.MONITOR,
        ("retrain",),
        "operation",
    ),
    Stage(
        "retrain", "Retreinamento", "Retrain",
        "Decides by a policy whether to train again, and if so prepares, trains and asks the gate, "
        "in runs nested in its own.",
        (REPORT, "run: tables/checks.parquet", POLICY, LOG),
        artifacts.RETRAIN,
        ("promote",),
        "operation",
    ),
    Stage(
        "replay", "Simulacao", "Replay",
        "Lets labelled rows go by in the order of time, once for each policy of retraining, and "
        "compares what they cost and gain.",
        (RAW, CURRENT),
        artifacts.REPLAY,
        ("retrain",),
    ),)  # fmt: skip


def stage(step: str) -> Stage:
    """Return the stage of a step.

    Examples
    --------
    >>> stage("prepare").run_name, stage("prepare").next
    ('PreparacaoDados', ('train',))
    """
    return next(one for one in STAGES if one.step == step)


def maker_of(path: str) -> str | None:
    """Return the first step that leaves an artifact, None for what comes from outside.

    Examples
    --------
    >>> maker_of(TEST_SET), maker_of(SOURCE)
    ('prepare', None)
    """
    for one in STAGES:
        if any(left.path == path for left in one.leaves):
            return one.step
    return None
