"""Every artifact of the steps: its path, purpose and contents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

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
    purpose, contents : str
        A sentence each.
    when : str
        A sentence on when it is written; empty if always.
    part : str
        The project plugin that it needs, see `core.platform.plugins`; may be empty.
    """

    path: str
    purpose: str
    contents: str
    when: str = ""
    part: str = ""

    @property
    def room(self) -> Room:
        """Where it is stored.

        Examples
        --------
        >>> Artifact("run: settings.json", "", "").room, Artifact(FILTERED, "", "").room
        ('run', 'home')
        """
        prefix = re.match(r"(run|candidate|model|registry): ", self.path)
        return prefix[1] if prefix else "home"  # type: ignore[return-value]

    @property
    def name(self) -> str:
        """Return its path or name within its room.

        Examples
        --------
        >>> Artifact("run: settings.json", "", "").name
        'settings.json'
        """
        return self.path if self.room == "home" else self.path.split(": ", 1)[1]

    @property
    def pattern(self) -> str:
        """Return its name as a glob pattern.

        Examples
        --------
        >>> Artifact("data/01_raw/<snapshot>/part-<n>.<suffix>", "", "").pattern
        'data/01_raw/*/part-*.*'
        """
        return re.sub(r"<[^>]*>", "*", self.name.partition(": ")[0])


# part of every step's run
EVERY_RUN = Artifact(
    "run: settings.json",
    "To repeat the run as it was.",
    "The options and the settings that were in force, without secrets.",
)

ACQUIRE = (
    Artifact(
        RAW,
        "The source as it came, to go back to.",
        "The files of the source, byte by byte and write-protected, in a folder named by "
        "the digest of what they hold.",
    ),
    Artifact(
        "data/01_raw/<snapshot>/snapshot.json",
        "To know where the raw data came from.",
        "Name, size, SHA-256 and origin of each file, rows, columns and the run.",
    ),
    Artifact(
        CURRENT,
        "Says which snapshot later steps read.",
        "The record of the snapshot that is in use.",
    ),
    Artifact(
        "run: tables/validation.parquet",
        "To see what is wrong or odd with the source.",
        "A row per finding: severity, column, number of rows, examples and a sentence.",
    ),
    Artifact(
        "run: tables/files.parquet",
        "Lineage: which files the run read.",
        "Name, SHA-256, bytes and origin of each file.",
    ),
    Artifact(
        "run: tables/columns.parquet",
        "The picture of the data, column by column.",
        "Type, meaning, missing values, range, mean, most frequent value, and the ROC AUC "
        "of the column alone, for all rows and each kind of row.",
    ),
    Artifact(
        "run: tables/bins.parquet",
        "Draws how the values of a column lie.",
        "Counts of positive, negative and unlabelled rows per value or bin of each column.",
    ),
    Artifact(
        "run: tables/values.parquet",
        "Offers the values by which rows can be chosen.",
        "Counts of rows per value of the columns that divide the data.",
    ),
    Artifact(
        "run: tables/correlation.parquet",
        "Shows which columns tell the same.",
        "The correlation of each pair of numeric columns.",
    ),
    Artifact(
        "run: tables/leakage.parquet",
        "Warns of columns that would make a model cheat.",
        "Columns known only after the event, identifiers, constants, and such that "
        "foretell the label too well, each with a sentence.",
    ),
    Artifact(
        "run: tables/court_cells.parquet",
        "Draws where the events took place.",
        "Counts of events and of positive ones per cell of the ground.",
        "Where the project has a chart of places.",
        part="court",
    ),
    Artifact(
        "run: tables/court_points.parquet",
        "Draws single events.",
        "At most 30,000 rows with their place and label.",
        "Where the project has a chart of places.",
        part="court",
    ),
)

PREPARE = (
    Artifact(
        FILTERED,
        "The rows that a model may learn from, before they are divided.",
        "The inputs and the target, in the order of the project's id.",
    ),
    Artifact(
        TRAIN_SET,
        "What candidates are fitted and cross-validated on.",
        "The inputs and the target of the training rows.",
    ),
    Artifact(
        TEST_SET,
        "What candidates are judged by, once.",
        "The inputs and the target of the test rows.",
    ),
    Artifact(
        TRAIN_ROWS,
        "To judge a model by columns that it does not see.",
        "The training rows in the same order, with all columns of the project.",
    ),
    Artifact(
        TEST_ROWS,
        "To judge a model by columns that it does not see.",
        "The test rows in the same order, with all columns of the project.",
    ),
    Artifact(
        "data/05_model_input/prepared.json",
        "Says which sets stand, so that no training takes others for them.",
        "Snapshot, choices, run, commit and SHA-256 of each set.",
    ),
    Artifact(
        "run: documents/lineage.json",
        "The same in the run, to look up later.",
        "Snapshot, choices, run, commit and SHA-256 of each set.",
    ),
    Artifact(
        "run: files/<set>.parquet",
        "Copies that a later preparation does not replace.",
        "The five files of sets, as in the folders of data.",
    ),
    Artifact(
        "run: tables/missing.parquet",
        "Shows what missing values cost.",
        "Missing values per column among the rows that were asked for.",
    ),
    Artifact(
        "run: tables/class_balance.parquet",
        "Shows that both sets hold both labels.",
        "Rows per set and label.",
    ),
    Artifact(
        "run: figures/class_balance.svg",
        "The same as a picture.",
        "Bars per set; the Vega-Lite text stands beside it.",
    ),
    Artifact(
        "run: tables/split_checks.parquet",
        "Judges the split before anything is trained.",
        "Share, balance, drift between the sets, and groups or moments on both sides, each "
        "with a verdict.",
    ),
    Artifact(
        "run: tables/split_drift.parquet",
        "Shows whether the sets look alike.",
        "PSI, KS, Jensen-Shannon distance and chi-squared of each feature, train against test.",
    ),
    Artifact(
        "run: tables/leakage.parquet",
        "Warns of features that would make a model cheat.",
        "A row per finding, with a sentence.",
    ),
)

TRAIN = (
    Artifact(
        CHALLENGER,
        "The version that may become the champion.",
        "A registered version of the best candidate, with its threshold, inputs and "
        "features; the first one becomes the champion too.",
    ),
    Artifact(
        "model: MLmodel",
        "What MLflow loads and serves.",
        "Signature, versions of the libraries, and the name of the code that answers.",
    ),
    Artifact(
        "model: served_model.py",
        "The code that answers: it validates, computes features, "
        "and returns probability and label.",
        "The module as it was when the model was made.",
    ),
    Artifact(
        "model: artifacts/pipeline.<kind>",
        "The fitted candidate.",
        "A scikit-learn pipeline of preprocessing and classifier, saved with skops.",
    ),
    Artifact(
        "model: requirements.txt",
        "What the model needs to be served elsewhere.",
        "Pinned versions of its libraries.",
    ),
    Artifact(
        "run: tables/comparison.parquet",
        "Compares the candidates.",
        "A row per candidate with its figures from cross-validation and on the test set.",
    ),
    Artifact(
        "run: figures/comparison.svg",
        "The same as a picture.",
        "The log loss of each candidate with its interval.",
    ),
    Artifact(
        "run: tables/paired.parquet",
        "Tells whether candidates differ beyond chance.",
        "The difference of log losses to the best, row by row, with its interval.",
    ),
    Artifact(
        "run: figures/paired.svg",
        "The same as a picture.",
        "The differences with their intervals.",
        "Where there are several candidates.",
    ),
    Artifact(
        "run: tables/folds.parquet",
        "Shows how steady each candidate is.",
        "The figures of each fold of each candidate.",
    ),
    Artifact(
        "run: tables/roc.parquet",
        "Draws the ROC curves over each other.",
        "Points of the curve of each candidate.",
    ),
    Artifact(
        "run: tables/calibration.parquet",
        "Draws forecast against observed shares.",
        "Bins of the forecasts of each candidate.",
    ),
    Artifact(
        "run: tables/pr.parquet",
        "Draws precision against recall.",
        "Points of the curve of each candidate.",
    ),
    Artifact(
        "run: tables/gain.parquet",
        "Draws what the highest forecasts hold.",
        "Points of the curve of each candidate.",
    ),
    Artifact(
        "run: tables/confusion.parquet",
        "Counts both kinds of mistakes.",
        "Rows by candidate, label and predicted label.",
    ),
    Artifact(
        "run: tables/learning.parquet",
        "Tells whether more rows would help.",
        "Log loss of the best candidate by the number of rows that it learned from.",
        "Unless the learning curve was switched off.",
    ),
    Artifact(
        "run: figures/learning.svg",
        "The same as a picture.",
        "The curve with its spread over the folds.",
        "Unless the learning curve was switched off.",
    ),
    Artifact(
        "run: tables/left_out.parquet",
        "Tells which candidates failed, and why.",
        "Name and reason.",
    ),
    Artifact(
        "run: tables/test_rows.parquet",
        "The reference that monitoring compares with.",
        "The test rows with all columns, as they were at the training.",
    ),
    Artifact(
        "run: tables/train_keys.parquet",
        "Keeps training rows out of later judgements.",
        "The ids of the training rows.",
    ),
    Artifact(
        TEST_PREDICTIONS,
        "The answers that all test figures come from.",
        "Inputs, probability, predicted label and label of each test row.",
    ),
    Artifact(
        "candidate: tables/validation.parquet",
        "Chooses the threshold without the test set.",
        "The forecast of each training row by the fold that had not seen it.",
    ),
    Artifact(
        "candidate: tables/thresholds.parquet",
        "Shows what another threshold would do.",
        "Precision, recall, F1 and counts of mistakes at each threshold.",
    ),
    Artifact(
        "candidate: tables/slices.parquet",
        "Finds groups of rows that it errs on.",
        "Figures per value of the columns that errors are judged by, with a verdict that "
        "allows for chance.",
    ),
    Artifact(
        "candidate: tables/confusion.parquet",
        "Counts both kinds of mistakes.",
        "Rows by label and predicted label.",
    ),
    Artifact(
        "candidate: tables/folds.parquet", "Shows how steady it is.", "The figures of each fold."
    ),
    Artifact("candidate: tables/roc.parquet", "Draws its ROC curve.", "Points of the curve."),
    Artifact(
        "candidate: tables/pr.parquet", "Draws precision against recall.", "Points of the curve."
    ),
    Artifact(
        "candidate: tables/calibration.parquet",
        "Draws forecast against observed shares.",
        "Bins of its forecasts.",
    ),
    Artifact(
        "candidate: tables/gain.parquet",
        "Draws what the highest forecasts hold.",
        "Points of the curve.",
    ),
    Artifact(
        "candidate: tables/court.parquet",
        "Draws where it errs.",
        "Forecast and observed share per cell of the ground.",
        "Where the project has a chart of places.",
        part="court",
    ),
    Artifact("candidate: figures/roc.svg", "The ROC curve.", "The curve as a picture."),
    Artifact(
        "candidate: figures/calibration.svg",
        "Forecast against observed shares.",
        "The curve as a picture.",
    ),
    Artifact(
        "candidate: figures/confusion.svg", "Both kinds of mistakes.", "The counts as a picture."
    ),
)

PROMOTE = (
    Artifact(
        CHAMPION,
        "The version that is served and monitored.",
        "An alias that points at a registered version; @previous keeps the one before.",
    ),
    Artifact(
        "run: tables/rules.parquet",
        "Why it was let pass, held or refused.",
        "A row per rule of the gate: verdict, value, limit and a sentence.",
    ),
    Artifact(
        "run: tables/comparison.parquet",
        "Compares challenger and champion.",
        "Each figure of both with the interval of the difference.",
        "Where both could be asked.",
    ),
    Artifact(
        "run: tables/slices.parquet",
        "Tells whether a group of rows is harmed.",
        "The difference of log losses per value of the columns that errors are judged by.",
        "Where both could be asked.",
    ),
    Artifact(
        "run: tables/judged_rows.parquet",
        "To judge again by the same rows.",
        "Id, label and both forecasts of each row.",
        "Where both could be asked.",
    ),
)

EXPLAIN = (
    Artifact(
        "run: tables/importance.parquet",
        "Tells which features matter.",
        "What the log loss loses when a feature is shuffled, with its interval.",
        "When the model is explained in general.",
    ),
    Artifact(
        "run: tables/shap.parquet",
        "Tells how features move single forecasts.",
        "The contribution of each feature to the forecast of each row.",
        "When the model is explained in general.",
    ),
    Artifact(
        "run: tables/partial.parquet",
        "Tells how a forecast follows a feature.",
        "The mean forecast along the values of each feature.",
        "When the model is explained in general.",
    ),
    Artifact(
        "run: tables/shap_rows.parquet",
        "Tells which rows were explained.",
        "Inputs, forecast and label of each.",
        "When the model is explained in general.",
    ),
    Artifact(
        "run: figures/importance.svg",
        "Which features matter.",
        "Bars as a picture.",
        "When the model is explained in general.",
    ),
    Artifact(
        "run: figures/shap.svg",
        "How features move forecasts.",
        "A strip of points per feature as a picture.",
        "When the model is explained in general.",
    ),
    Artifact(
        "run: figures/partial_<feature>.svg",
        "How a forecast follows a feature.",
        "A line as a picture.",
        "When the model is explained in general.",
    ),
    Artifact(
        "run: tables/contributions.parquet",
        "Tells why this row got its forecast.",
        "The contribution of each feature.",
        "When a single row is explained.",
    ),
    Artifact(
        "run: figures/contributions.svg",
        "Why this row got its forecast.",
        "A waterfall as a picture.",
        "When a single row is explained.",
    ),
    Artifact(
        "run: tables/along.parquet",
        "Tells what another value would do.",
        "The forecast of the row along each input.",
        "When a single row is explained with its surroundings.",
    ),
    Artifact(
        "run: tables/map.parquet",
        "Tells what another place would do.",
        "The forecast of the row per cell of the ground.",
        "When a single row is explained with its surroundings.",
    ),
    Artifact(
        "run: figures/map.svg",
        "What another place would do.",
        "The cells as a picture.",
        "When a single row is explained with its surroundings.",
    ),
)

SERVE = (
    Artifact(
        ENDPOINT,
        "To find, watch and stop the server that answers.",
        "Version, port, address and process of the server.",
        "While it answers.",
    ),
    Artifact(
        "logs/serve-<port>.log", "To see why a server did not start.", "What the server wrote."
    ),
)

SCORE = (
    Artifact(
        SCORED,
        "The table of results.",
        "A row per scored row: its inputs, its probability and predicted label, and its "
        "label where that is known.",
    ),
    Artifact(
        LOG,
        "Remembers what the model answered, until labels come.",
        "A row per answer: key, moment, version, inputs, probability, predicted label; and "
        "labels with the moment they came.",
        "Or the database that COURTSIDE_PREDICTIONS_URL names.",
    ),
    Artifact(
        "run: files/<source>_<scoring>.parquet",
        "The table of results in the run.",
        "As in the folder of data.",
        "Unless rows were scored from an address into another.",
    ),
    Artifact(
        "run: figures/probability.svg",
        "How the probabilities lie.",
        "The density as a picture; the Vega-Lite text stands beside it.",
        "Unless rows were scored from an address into another.",
    ),
    Artifact(
        "run: tables/validation.parquet",
        "Tells what is wrong or odd with the file.",
        "A row per finding: severity, column, number of rows, examples and a sentence.",
        "Where a file was uploaded.",
    ),
    Artifact(
        "run: tables/rejected.parquet",
        "Tells which rows were not scored, and why.",
        "Row, column, value and reason.",
        "Where rows were refused.",
    ),
)

LABEL = (
    Artifact(
        "run: tables/rejected.parquet",
        "Tells which labels could not be used, and why.",
        "Row and reason.",
    ),
)

MONITOR = (
    Artifact(
        REPORT,
        "The monitoring report.",
        "Verdict, what to do, which rows were compared, and all checks with value, "
        "interval, limits and verdict.",
    ),
    Artifact("run: documents/report.json", "The same in the run.", "As in the folder of data."),
    Artifact(
        "run: files/monitoring_<run>.json",
        "A copy that goes with the run.",
        "As in the folder of data.",
    ),
    Artifact(
        "run: tables/checks.parquet",
        "What the verdict follows from.",
        "A row per check: value, reference, interval, limits, verdict, and what to do.",
    ),
    Artifact(
        "run: tables/drift.parquet",
        "Shows which columns moved.",
        "PSI, KS, Jensen-Shannon distance, chi-squared and more of each column.",
    ),
    Artifact(
        "run: tables/slices.parquet",
        "Shows where the model errs.",
        "Figures per value of the columns that errors are judged by.",
        "Where both sides have these columns.",
    ),
    Artifact(
        "run: tables/densities.parquet",
        "Draws reference and current rows over each other.",
        "Densities of each column and of the probability, on both sides.",
    ),
    Artifact(
        "run: tables/reliability.parquet",
        "Draws forecast against observed shares.",
        "Bins of the forecasts on both sides.",
    ),
    Artifact(
        "run: tables/confusion.parquet",
        "Counts both kinds of mistakes.",
        "Rows by label and predicted label on both sides.",
    ),
    Artifact(
        "run: tables/ranking.parquet",
        "Tells by which columns both sides differ most.",
        "What tells current from reference rows: ROC AUC and importance of each column.",
    ),
    Artifact("run: figures/psi.svg", "Which columns moved.", "The PSI of each as a picture."),
    Artifact(
        "run: figures/probability.svg",
        "How the probabilities lie on both sides.",
        "Two densities as a picture.",
    ),
    Artifact(
        "run: figures/reliability.svg",
        "Forecast against observed shares.",
        "The curves of both sides as a picture.",
    ),
    Artifact(
        "state/state.db: alerts",
        "Remembers what rang, and who was told.",
        "Alerts with the check, its value, its limit and when it was sent or put away.",
        "For reports of the present; those of the past ring for nobody.",
    ),
    Artifact(
        "data/08_reporting/monitoring_<run>/evidently.html",
        "The same rows for those who know evidently's report.",
        "Evidently's drift report.",
        "Where evidently is installed.",
    ),
)

RETRAIN = (
    Artifact(
        "run: documents/decision.json",
        "The decision.",
        "What was decided, its reasons, what to do, and the reports it rests on.",
    ),
    Artifact(
        "run: tables/windows.parquet",
        "What the decision was made by.",
        "A row per report of this champion: its span, rows, labels and alerts.",
    ),
    Artifact(
        "run: tables/reasons.parquet",
        "Tells why it was decided so.",
        "The reasons, a sentence each.",
    ),
    Artifact(
        "run: tables/by_kind.parquet",
        "Shows whom the new version serves better.",
        "The difference of log losses per kind of row.",
        "Where a new version was trained and its test rows are of several kinds.",
    ),
)

REPLAY = (
    Artifact(
        "run: tables/policies.parquet",
        "Compares the policies.",
        "A row per policy: log loss, gain over doing nothing with its interval, trainings, alarms.",
    ),
    Artifact(
        "run: tables/windows.parquet",
        "Tells what happened in each window of time.",
        "A row per policy and window: rows, labels, figures, verdict and decision.",
    ),
    Artifact(
        "run: tables/decisions.parquet",
        "Tells when and why was retrained.",
        "A row per policy and window: decision, reasons and what to do.",
    ),
    Artifact(
        "run: figures/log_loss.svg",
        "The log loss in the order of time.",
        "A line per policy as a picture.",
    ),
    Artifact(
        "run: figures/gain.svg",
        "What each policy gained, added up.",
        "A line per policy as a picture.",
    ),
)
