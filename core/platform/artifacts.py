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
ALL_COLUMNS = Message("The same rows with all columns, to evaluate a model by other columns.")
CALIBRATION = Message("The points of the curve.")
CONFUSION = Message("The number of rows by label and predicted class.")
CONTRIBUTIONS = Message("The contribution of each feature to a prediction.")
DRIFT = Message("The drift of each column: PSI, KS, Jensen-Shannon distance and chi-squared.")
FINDINGS = Message("Errors and oddities in the data: severity, column, rows and examples.")
FOLDS = Message("The metrics of each fold, to see how much they vary.")
GAIN = Message("The points of the curve.")
LEAKAGE = Message("Columns that leak the label or identify rows, with the reason.")
PRECISION_RECALL = Message("The points of the curve.")
REJECTED = Message("The rejected rows, with the reason.")
ROC = Message("The points of the curve.")
SLICES = Message("The metrics per slice, to find where the model is worse.")

ACQUIRE = (
    Artifact(RAW, Message("The files of the source, unchanged and write-protected.")),
    Artifact(
        "data/01_raw/<snapshot>/snapshot.json",
        Message("The files that were read, with size, origin and SHA-256."),
    ),
    Artifact(CURRENT, Message("The snapshot that later steps read.")),
    Artifact("run: tables/validation.parquet", FINDINGS),
    Artifact(
        "run: tables/files.parquet",
        Message("The files that were read, with size, origin and SHA-256."),
    ),
    Artifact(
        "run: tables/columns.parquet",
        Message("A profile of each column: type, missing values, range, and its ROC AUC alone."),
    ),
    Artifact("run: tables/bins.parquet", Message("The distribution of each column, to compare.")),
    Artifact(
        "run: tables/values.parquet",
        Message("The values of the row filters, with their numbers of rows."),
    ),
    Artifact(
        "run: tables/correlation.parquet",
        Message("The correlation of each pair of numeric columns, to find redundant ones."),
    ),
    Artifact("run: tables/leakage.parquet", LEAKAGE),
    Artifact(
        "run: tables/over_time.parquet",
        Message("The rows in each period, and how many are positive."),
        "time",
    ),
    Artifact("run: tables/places.parquet", Message("The rows on the map, by position."), "place"),
    Artifact(
        "run: tables/court_cells.parquet",
        Message("The rows on the map, by position."),
        part="court",
    ),
    Artifact(
        "run: tables/court_points.parquet",
        Message("The rows on the map, by position."),
        part="court",
    ),
)

PREPARE = (
    Artifact(
        FILTERED, Message("The chosen rows before the split: inputs and target, sorted by id.")
    ),
    Artifact(
        TRAIN_SET,
        Message(
            "Inputs and target of the rows on which candidates are fitted and cross-validated."
        ),
    ),
    Artifact(TEST_SET, Message("Inputs and target of the rows on which candidates are evaluated.")),
    Artifact(TRAIN_ROWS, ALL_COLUMNS),
    Artifact(TEST_ROWS, ALL_COLUMNS),
    Artifact(
        "data/05_model_input/prepared.json",
        Message("The origin of the current sets: snapshot, options, run, and SHA-256 of each."),
    ),
    Artifact("run: documents/lineage.json", _copy("data/05_model_input/prepared.json")),
    Artifact("run: files/<set>.parquet", _copy(FILTERED, "data/05_model_input/<set>.parquet")),
    Artifact(
        "run: tables/missing.parquet",
        Message("Missing values per column, to see how many rows are lost."),
    ),
    Artifact("run: tables/class_balance.parquet", Message("The number of rows by set and label.")),
    Artifact("run: figures/class_balance.svg", _chart("class_balance")),
    Artifact(
        "run: tables/split_checks.parquet", Message("The checks with value, limits and verdict.")
    ),
    Artifact("run: tables/split_drift.parquet", DRIFT),
    Artifact("run: tables/leakage.parquet", LEAKAGE),
)

TRAIN = (
    Artifact(
        CHALLENGER,
        Message("The registered version of the best candidate, with its threshold and features."),
    ),
    Artifact(
        "model: MLmodel",
        Message("What MLflow loads: signature, library versions, and the serving code."),
    ),
    Artifact(
        "model: served_model.py",
        Message("The serving code: checks rows, computes features, returns the prediction."),
    ),
    Artifact(
        "model: artifacts/pipeline.<kind>",
        Message(
            "The fitted scikit-learn pipeline of preprocessing and classifier, saved with skops."
        ),
    ),
    Artifact(
        "model: requirements.txt",
        Message("The pinned versions of the libraries that the model needs."),
    ),
    Artifact("run: tables/comparison.parquet", Message("The metrics of each model, to compare.")),
    Artifact("run: figures/comparison.svg", _chart("comparison")),
    Artifact(
        "run: tables/paired.parquet",
        Message("Each candidate's difference in log loss from the best, with its interval."),
    ),
    Artifact("run: figures/paired.svg", _chart("paired"), "several"),
    Artifact("run: tables/folds.parquet", FOLDS),
    Artifact("run: tables/roc.parquet", ROC),
    Artifact("run: tables/calibration.parquet", CALIBRATION),
    Artifact("run: tables/pr.parquet", PRECISION_RECALL),
    Artifact("run: tables/gain.parquet", GAIN),
    Artifact("run: tables/confusion.parquet", CONFUSION),
    Artifact(
        "run: tables/learning.parquet",
        Message("Log loss by number of training rows, to see whether more would help."),
        "learning",
    ),
    Artifact("run: figures/learning.svg", _chart("learning"), "learning"),
    Artifact(
        "run: tables/left_out.parquet", Message("The candidates that failed, with the reason.")
    ),
    Artifact(
        "run: tables/test_rows.parquet",
        Message("The test rows with all columns: the reference of monitoring."),
    ),
    Artifact(
        "run: tables/train_keys.parquet",
        Message("The ids of the training rows, to keep them out of later evaluations."),
    ),
    Artifact(
        "run: tables/levels.parquet",
        Message("The values of text columns in the training rows, to count new ones in Score."),
        "texts",
    ),
    Artifact(TEST_PREDICTIONS, Message("Each row with its prediction and label.")),
    Artifact(
        "candidate: tables/validation.parquet",
        Message("The out-of-fold prediction of each training row, to choose the threshold."),
    ),
    Artifact(
        "candidate: tables/thresholds.parquet",
        Message("Precision, recall, F1 and errors at each threshold."),
    ),
    Artifact("candidate: tables/slices.parquet", SLICES),
    Artifact("candidate: tables/confusion.parquet", CONFUSION),
    Artifact("candidate: tables/folds.parquet", FOLDS),
    Artifact("candidate: tables/roc.parquet", ROC),
    Artifact("candidate: tables/pr.parquet", PRECISION_RECALL),
    Artifact("candidate: tables/calibration.parquet", CALIBRATION),
    Artifact("candidate: tables/gain.parquet", GAIN),
    Artifact(
        "candidate: tables/places.parquet", Message("Predicted and observed by place."), "place"
    ),
    Artifact(
        "candidate: tables/court.parquet",
        Message("The rows on the map, by position."),
        part="court",
    ),
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
    Artifact("run: tables/rules.parquet", Message("The checks with value, limits and verdict.")),
    Artifact(
        "run: tables/comparison.parquet",
        Message("The metrics of each model, to compare."),
        "both_scored",
    ),
    Artifact("run: tables/slices.parquet", SLICES, "both_scored"),
    Artifact(
        "run: tables/judged_rows.parquet",
        Message("Each row with its prediction and label."),
        "both_scored",
    ),
)

EXPLAIN = (
    Artifact(
        "run: tables/importance.parquet",
        Message("The increase in log loss when a feature is shuffled, with its interval."),
        "overall",
    ),
    Artifact("run: tables/shap.parquet", CONTRIBUTIONS, "overall"),
    Artifact(
        "run: tables/partial.parquet",
        Message("The mean predicted probability by value of each feature."),
        "overall",
    ),
    Artifact(
        "run: tables/shap_rows.parquet",
        Message("Each row with its prediction and label."),
        "overall",
    ),
    Artifact("run: figures/importance.svg", _chart("importance"), "overall"),
    Artifact("run: figures/shap.svg", _chart("shap"), "overall"),
    Artifact("run: figures/partial_<feature>.svg", _chart("partial"), "overall"),
    Artifact("run: tables/contributions.parquet", CONTRIBUTIONS, "row"),
    Artifact("run: figures/contributions.svg", _chart("contributions"), "row"),
    Artifact(
        "run: tables/along.parquet",
        Message("The predicted probability of the row with other inputs."),
        "around_row",
    ),
    Artifact(
        "run: tables/map.parquet",
        Message("The predicted probability of the row with other inputs."),
        "around_row",
    ),
    Artifact("run: figures/map.svg", _chart("map"), "around_row"),
)

SERVE = (
    Artifact(
        ENDPOINT, Message("Version, port, address and process of the running server."), "serving"
    ),
    Artifact(
        "logs/serve-<port>.log", Message("The output of the server, to see why it did not start.")
    ),
)

SCORE = (
    Artifact(SCORED, Message("Each row with its prediction and label.")),
    Artifact(
        LOG, Message("Every prediction with key, time and version, and its label once it arrives.")
    ),
    Artifact("run: files/<source>_<scoring>.parquet", _copy(SCORED), "table"),
    Artifact(
        "run: figures/probability.svg", Message("The chart of `{path}`.", path=SCORED), "table"
    ),
    Artifact("run: tables/validation.parquet", FINDINGS, "upload"),
    Artifact("run: tables/rejected.parquet", REJECTED, "rejected"),
)

LABEL = (Artifact("run: tables/rejected.parquet", REJECTED),)

MONITOR = (
    Artifact(
        REPORT, Message("The monitoring report: verdict, what to do, and all checks with limits.")
    ),
    Artifact("run: documents/report.json", _copy(REPORT)),
    Artifact("run: files/monitoring_<run>.json", _copy(REPORT)),
    Artifact("run: tables/checks.parquet", Message("The checks with value, limits and verdict.")),
    Artifact("run: tables/drift.parquet", DRIFT),
    Artifact("run: tables/slices.parquet", SLICES, "slices"),
    Artifact(
        "run: tables/densities.parquet", Message("The distribution of each column, to compare.")
    ),
    Artifact("run: tables/reliability.parquet", CALIBRATION),
    Artifact("run: tables/confusion.parquet", CONFUSION),
    Artifact(
        "run: tables/ranking.parquet",
        Message("The classifier of reference against current rows: ROC AUC and importances."),
    ),
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
    Artifact(
        "run: documents/decision.json",
        Message("The decision: reasons, what to do, and the reports used."),
    ),
    Artifact(
        "run: tables/windows.parquet",
        Message("The reports behind the decision: period, rows, labels and alerts."),
    ),
    Artifact(
        "run: tables/reasons.parquet",
        Message("The decision: reasons, what to do, and the reports used."),
    ),
    Artifact(
        "run: tables/by_kind.parquet",
        Message("The metrics per slice, to find where the model is worse."),
        "kinds",
    ),
)

REPLAY = (
    Artifact(
        "run: tables/policies.parquet",
        Message("Each policy with its log loss, gain over no retraining, retrainings and alarms."),
    ),
    Artifact(
        "run: tables/windows.parquet",
        Message("Metrics, verdict and decision of each policy in each window."),
    ),
    Artifact(
        "run: tables/decisions.parquet",
        Message("The decisions of each policy, with their reasons."),
    ),
    Artifact("run: figures/log_loss.svg", _chart("windows")),
    Artifact("run: figures/gain.svg", _chart("windows")),
)
