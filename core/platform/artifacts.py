"""Every artifact of the steps: its path, and what it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from core.platform.messages import Message

Room = Literal["home", "run", "candidate", "model", "registry"]

RAW = "data/01_raw/<snapshot>/part-<n>.<suffix>"
CURRENT = "data/01_raw/current.json"
FILTERED = "data/03_primary/data_filtered.parquet"
TRAIN_SET = "data/05_model_input/train_data.parquet"
TEST_SET = "data/05_model_input/test_data.parquet"
TRAIN_ROWS = "data/05_model_input/train_rows.parquet"
TEST_ROWS = "data/05_model_input/test_rows.parquet"
TEST_PREDICTIONS = "candidate: tables/test_predictions.parquet"
CHALLENGER, CHAMPION = "registry: @challenger", "registry: @champion"
ENDPOINT = "state/state.db: servers"
LOG = "state/predictions.db"
SCORED = "data/07_model_output/<source>_<scoring>.parquet"
REPORT = "data/08_reporting/monitoring_<run>.json"


@dataclass(frozen=True)
class Artifact:
    """Something that a step writes.

    Parameters
    ----------
    path : str
        Below the home, with a database table after a colon; or `run: <artifact>` of the step's run,
        `candidate: <artifact>` of a nested run, `model: <file>` of the logged model,
        `registry: @<alias>`. Parts that vary between runs are in angle brackets.
    about : Message
        A sentence on its contents and purpose.
    when : str
        Code of the case in which it is written; empty if always.
    part : str
        The project plugin that it needs, see `core.platform.plugins`; may be empty.
    """

    path: str
    about: Message
    when: str = ""
    part: str = ""

    @property
    def room(self) -> Room:
        """Where it is stored.

        Examples
        --------
        >>> Artifact("run: settings.json", Message("")).room, Artifact(FILTERED, Message("")).room
        ('run', 'home')
        """
        prefix = re.match(r"(run|candidate|model|registry): ", self.path)
        return prefix[1] if prefix else "home"  # type: ignore[return-value]

    @property
    def name(self) -> str:
        """Return its path or name within its room.

        Examples
        --------
        >>> Artifact("run: settings.json", Message("")).name
        'settings.json'
        """
        return self.path if self.room == "home" else self.path.split(": ", 1)[1]

    @property
    def pattern(self) -> str:
        """Return its name as a glob pattern.

        Examples
        --------
        >>> Artifact("data/01_raw/<snapshot>/part-<n>.<suffix>", Message("")).pattern
        'data/01_raw/*/part-*.*'
        """
        return re.sub(r"<[^>]*>", "*", self.name.partition(": ")[0])


def _chart(table: str) -> Message:
    path = f"tables/{table}.parquet"
    return Message("The chart of `{path}`.", path=path)


def _copy(*paths: str) -> Message:
    return Message(
        "A copy of {paths}, which no later run replaces.", paths=[f"`{path}`" for path in paths]
    )


# part of every step's run
EVERY_RUN = Artifact(
    "run: settings.json", Message("Options and settings to repeat the run, without secrets.")
)

# artifacts of several steps
ALL_COLUMNS = Message("The same rows with all columns: for slices, and as monitoring's reference.")
CHECKS = Message("The checks with value, limits and verdict.")
COUNTS = Message("The numbers of rows, and of positives, by period, place, set or class.")
CURVE = Message("The points of the curve.")
DECISION = Message("The decision with its reasons, and the reports used.")
DRIFT = Message(
    "The drift of the columns: PSI, KS, Jensen-Shannon, chi-squared, and a classifier of reference "
    "against current rows."
)
FEATURES = Message("What the features contribute: shuffled, by value, or to one prediction.")
FOUND = Message("Findings, and columns, rows or candidates that were left out, with the reason.")
INPUTS = Message("Inputs and target of the chosen rows: all, the training set, or the test set.")
KNOWN = Message("Ids and texts of the training rows, to recognize known rows and new values.")
LOADED = Message("What MLflow loads: signature, pinned libraries, and serving code.")
METRICS = Message("The metrics of each model, fold, slice or policy, with intervals.")
ORIGIN = Message("The origin of the data: files or snapshot, options, run, and SHA-256.")
PROFILE = Message(
    "The profile of the columns: type, missing values, range, distribution, correlation, and ROC "
    "AUC alone."
)
ROWS = Message("Each row with its prediction, and its label once it is known.")
SERVER = Message("The running server: version, port, address, process, and output.")

ACQUIRE = (
    Artifact(RAW, Message("The files of the source, unchanged and write-protected.")),
    Artifact("data/01_raw/<snapshot>/snapshot.json", ORIGIN),
    Artifact(CURRENT, ORIGIN),
    Artifact("run: tables/validation.parquet", FOUND),
    Artifact("run: tables/files.parquet", ORIGIN),
    Artifact("run: tables/columns.parquet", PROFILE),
    Artifact("run: tables/bins.parquet", PROFILE),
    Artifact("run: tables/values.parquet", PROFILE),
    Artifact("run: tables/correlation.parquet", PROFILE),
    Artifact("run: tables/leakage.parquet", FOUND),
    Artifact("run: tables/over_time.parquet", COUNTS, "time"),
    Artifact("run: tables/places.parquet", COUNTS, "place"),
    Artifact("run: tables/court_cells.parquet", COUNTS, part="court"),
    Artifact("run: tables/court_points.parquet", COUNTS, part="court"),
)

PREPARE = (
    Artifact(FILTERED, INPUTS),
    Artifact(TRAIN_SET, INPUTS),
    Artifact(TEST_SET, INPUTS),
    Artifact(TRAIN_ROWS, ALL_COLUMNS),
    Artifact(TEST_ROWS, ALL_COLUMNS),
    Artifact("data/05_model_input/prepared.json", ORIGIN),
    Artifact("run: documents/lineage.json", _copy("data/05_model_input/prepared.json")),
    Artifact("run: files/<set>.parquet", _copy(FILTERED, "data/05_model_input/<set>.parquet")),
    Artifact("run: tables/missing.parquet", PROFILE),
    Artifact("run: tables/class_balance.parquet", COUNTS),
    Artifact("run: figures/class_balance.svg", _chart("class_balance")),
    Artifact("run: tables/split_checks.parquet", CHECKS),
    Artifact("run: tables/split_drift.parquet", DRIFT),
    Artifact("run: tables/leakage.parquet", FOUND),
)

TRAIN = (
    Artifact(
        CHALLENGER,
        Message("The registered version of the best candidate, with its threshold and features."),
    ),
    Artifact("model: MLmodel", LOADED),
    Artifact(
        "model: served_model.py",
        Message("The serving code: checks rows, computes features, returns the prediction."),
    ),
    Artifact(
        "model: artifacts/pipeline.<kind>",
        Message("The fitted pipeline of preprocessing and classifier, saved with skops."),
    ),
    Artifact("model: requirements.txt", LOADED),
    Artifact("run: tables/comparison.parquet", METRICS),
    Artifact("run: figures/comparison.svg", _chart("comparison")),
    Artifact("run: tables/paired.parquet", METRICS),
    Artifact("run: figures/paired.svg", _chart("paired"), "several"),
    Artifact("run: tables/folds.parquet", METRICS),
    Artifact("run: tables/roc.parquet", CURVE),
    Artifact("run: tables/calibration.parquet", CURVE),
    Artifact("run: tables/pr.parquet", CURVE),
    Artifact("run: tables/gain.parquet", CURVE),
    Artifact("run: tables/confusion.parquet", COUNTS),
    Artifact("run: tables/learning.parquet", CURVE, "learning"),
    Artifact("run: figures/learning.svg", _chart("learning"), "learning"),
    Artifact("run: tables/left_out.parquet", FOUND),
    Artifact("run: tables/test_rows.parquet", ALL_COLUMNS),
    Artifact("run: tables/train_keys.parquet", KNOWN),
    Artifact("run: tables/levels.parquet", KNOWN, "texts"),
    Artifact(TEST_PREDICTIONS, ROWS),
    Artifact(
        "candidate: tables/validation.parquet",
        Message("The out-of-fold prediction of each training row, to choose the threshold."),
    ),
    Artifact("candidate: tables/thresholds.parquet", CURVE),
    Artifact("candidate: tables/slices.parquet", METRICS),
    Artifact("candidate: tables/confusion.parquet", COUNTS),
    Artifact("candidate: tables/folds.parquet", METRICS),
    Artifact("candidate: tables/roc.parquet", CURVE),
    Artifact("candidate: tables/pr.parquet", CURVE),
    Artifact("candidate: tables/calibration.parquet", CURVE),
    Artifact("candidate: tables/gain.parquet", CURVE),
    Artifact("candidate: tables/places.parquet", COUNTS, "place"),
    Artifact("candidate: tables/court.parquet", COUNTS, part="court"),
    Artifact("candidate: figures/roc.svg", _chart("roc")),
    Artifact("candidate: figures/calibration.svg", _chart("calibration")),
    Artifact("candidate: figures/confusion.svg", _chart("confusion")),
)

PROMOTE = (
    Artifact(
        CHAMPION,
        Message(
            "The alias of the version that is served and monitored; @previous is the one before."
        ),
    ),
    Artifact("run: tables/rules.parquet", CHECKS),
    Artifact("run: tables/comparison.parquet", METRICS, "both_scored"),
    Artifact("run: tables/slices.parquet", METRICS, "both_scored"),
    Artifact("run: tables/judged_rows.parquet", ROWS, "both_scored"),
)

EXPLAIN = (
    Artifact("run: tables/importance.parquet", FEATURES, "overall"),
    Artifact("run: tables/shap.parquet", FEATURES, "overall"),
    Artifact("run: tables/partial.parquet", FEATURES, "overall"),
    Artifact("run: tables/shap_rows.parquet", ROWS, "overall"),
    Artifact("run: figures/importance.svg", _chart("importance"), "overall"),
    Artifact("run: figures/shap.svg", _chart("shap"), "overall"),
    Artifact("run: figures/partial_<feature>.svg", _chart("partial"), "overall"),
    Artifact("run: tables/contributions.parquet", FEATURES, "row"),
    Artifact("run: figures/contributions.svg", _chart("contributions"), "row"),
    Artifact("run: tables/along.parquet", FEATURES, "around_row"),
    Artifact("run: tables/map.parquet", FEATURES, "around_row"),
    Artifact("run: figures/map.svg", _chart("map"), "around_row"),
)

SERVE = (Artifact(ENDPOINT, SERVER, "serving"), Artifact("logs/serve-<port>.log", SERVER))

SCORE = (
    Artifact(SCORED, ROWS),
    Artifact(LOG, ROWS),
    Artifact("run: files/<source>_<scoring>.parquet", _copy(SCORED), "table"),
    Artifact(
        "run: figures/probability.svg", Message("The chart of `{path}`.", path=SCORED), "table"
    ),
    Artifact("run: tables/validation.parquet", FOUND, "upload"),
    Artifact("run: tables/rejected.parquet", FOUND, "rejected"),
)

LABEL = (Artifact("run: tables/rejected.parquet", FOUND),)

MONITOR = (
    Artifact(
        REPORT, Message("The monitoring report: verdict, what to do, and all checks with limits.")
    ),
    Artifact("run: documents/report.json", _copy(REPORT)),
    Artifact("run: files/monitoring_<run>.json", _copy(REPORT)),
    Artifact("run: tables/checks.parquet", CHECKS),
    Artifact("run: tables/drift.parquet", DRIFT),
    Artifact("run: tables/slices.parquet", METRICS, "slices"),
    Artifact("run: tables/densities.parquet", PROFILE),
    Artifact("run: tables/reliability.parquet", CURVE),
    Artifact("run: tables/confusion.parquet", COUNTS),
    Artifact("run: tables/ranking.parquet", DRIFT),
    Artifact("run: figures/psi.svg", _chart("drift")),
    Artifact("run: figures/probability.svg", _chart("densities")),
    Artifact("run: figures/reliability.svg", _chart("reliability")),
    Artifact(
        "state/state.db: alerts",
        Message("The alerts with check, value, limit, and when they were sent or dismissed."),
        "live",
    ),
    Artifact(
        "data/08_reporting/monitoring_<run>/evidently.html",
        Message("The drift report of Evidently, if it is installed."),
        "evidently",
    ),
)

RETRAIN = (
    Artifact("run: documents/decision.json", DECISION),
    Artifact("run: tables/windows.parquet", DECISION),
    Artifact("run: tables/reasons.parquet", DECISION),
    Artifact("run: tables/by_kind.parquet", METRICS, "kinds"),
)

REPLAY = (
    Artifact("run: tables/policies.parquet", METRICS),
    Artifact("run: tables/windows.parquet", METRICS),
    Artifact("run: tables/decisions.parquet", DECISION),
    Artifact("run: figures/log_loss.svg", _chart("windows")),
    Artifact("run: figures/gain.svg", _chart("windows")),
)
