"""Every artifact of the steps: its path, purpose and contents."""

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
    Message("To repeat the run as it was."),
    Message("The options and the settings that were in force, without secrets."),
)

ACQUIRE = (
    Artifact(
        RAW,
        Message("The source as it came, to go back to."),
        Message(
            "The files of the source, byte by byte and write-protected, in a folder named "
            "by the digest of what they hold."
        ),
    ),
    Artifact(
        "data/01_raw/<snapshot>/snapshot.json",
        Message("To know where the raw data came from."),
        Message("Name, size, SHA-256 and origin of each file, rows, columns and the run."),
    ),
    Artifact(
        CURRENT,
        Message("Says which snapshot later steps read."),
        Message("The record of the snapshot that is in use."),
    ),
    Artifact(
        "run: tables/validation.parquet",
        Message("To see what is wrong or odd with the source."),
        Message("A row per finding: severity, column, number of rows, examples and a sentence."),
    ),
    Artifact(
        "run: tables/files.parquet",
        Message("Lineage: which files the run read."),
        Message("Name, SHA-256, bytes and origin of each file."),
    ),
    Artifact(
        "run: tables/columns.parquet",
        Message("The picture of the data, column by column."),
        Message(
            "Type, meaning, missing values, range, mean, most frequent value, and the ROC "
            "AUC of the column alone, for all rows and each kind of row."
        ),
    ),
    Artifact(
        "run: tables/bins.parquet",
        Message("Draws how the values of a column lie."),
        Message(
            "Counts of positive, negative and unlabelled rows per value or bin of each column."
        ),
    ),
    Artifact(
        "run: tables/values.parquet",
        Message("Offers the values by which rows can be chosen."),
        Message("Counts of rows per value of the columns that divide the data."),
    ),
    Artifact(
        "run: tables/correlation.parquet",
        Message("Shows which columns tell the same."),
        Message("The correlation of each pair of numeric columns."),
    ),
    Artifact(
        "run: tables/leakage.parquet",
        Message("Warns of columns that would make a model cheat."),
        Message(
            "Columns known only after the event, identifiers, constants, and such that "
            "foretell the label too well, each with a sentence."
        ),
    ),
    Artifact(
        "run: tables/court_cells.parquet",
        Message("Draws where the events took place."),
        Message("Counts of events and of positive ones per cell of the ground."),
        Message("Where the project has a chart of places."),
        part="court",
    ),
    Artifact(
        "run: tables/court_points.parquet",
        Message("Draws single events."),
        Message("At most 30,000 rows with their place and label."),
        Message("Where the project has a chart of places."),
        part="court",
    ),
)

PREPARE = (
    Artifact(
        FILTERED,
        Message("The rows that a model may learn from, before they are divided."),
        Message("The inputs and the target, in the order of the project's id."),
    ),
    Artifact(
        TRAIN_SET,
        Message("What candidates are fitted and cross-validated on."),
        Message("The inputs and the target of the training rows."),
    ),
    Artifact(
        TEST_SET,
        Message("What candidates are judged by, once."),
        Message("The inputs and the target of the test rows."),
    ),
    Artifact(
        TRAIN_ROWS,
        Message("To judge a model by columns that it does not see."),
        Message("The training rows in the same order, with all columns of the project."),
    ),
    Artifact(
        TEST_ROWS,
        Message("To judge a model by columns that it does not see."),
        Message("The test rows in the same order, with all columns of the project."),
    ),
    Artifact(
        "data/05_model_input/prepared.json",
        Message("Says which sets stand, so that no training takes others for them."),
        Message("Snapshot, choices, run, commit and SHA-256 of each set."),
    ),
    Artifact(
        "run: documents/lineage.json",
        Message("The same in the run, to look up later."),
        Message("Snapshot, choices, run, commit and SHA-256 of each set."),
    ),
    Artifact(
        "run: files/<set>.parquet",
        Message("Copies that a later preparation does not replace."),
        Message("The five files of sets, as in the folders of data."),
    ),
    Artifact(
        "run: tables/missing.parquet",
        Message("Shows what missing values cost."),
        Message("Missing values per column among the rows that were asked for."),
    ),
    Artifact(
        "run: tables/class_balance.parquet",
        Message("Shows that both sets hold both labels."),
        Message("Rows per set and label."),
    ),
    Artifact(
        "run: figures/class_balance.svg",
        Message("The same as a picture."),
        Message("Bars per set; the Vega-Lite text stands beside it."),
    ),
    Artifact(
        "run: tables/split_checks.parquet",
        Message("Judges the split before anything is trained."),
        Message(
            "Share, balance, drift between the sets, and groups or moments on both sides, "
            "each with a verdict."
        ),
    ),
    Artifact(
        "run: tables/split_drift.parquet",
        Message("Shows whether the sets look alike."),
        Message(
            "PSI, KS, Jensen-Shannon distance and chi-squared of each feature, train against test."
        ),
    ),
    Artifact(
        "run: tables/leakage.parquet",
        Message("Warns of features that would make a model cheat."),
        Message("A row per finding, with a sentence."),
    ),
)

TRAIN = (
    Artifact(
        CHALLENGER,
        Message("The version that may become the champion."),
        Message(
            "A registered version of the best candidate, with its threshold, inputs and "
            "features; the first one becomes the champion too."
        ),
    ),
    Artifact(
        "model: MLmodel",
        Message("What MLflow loads and serves."),
        Message("Signature, versions of the libraries, and the name of the code that answers."),
    ),
    Artifact(
        "model: served_model.py",
        Message(
            "The code that answers: it validates, computes features, and returns "
            "probability and label."
        ),
        Message("The module as it was when the model was made."),
    ),
    Artifact(
        "model: artifacts/pipeline.<kind>",
        Message("The fitted candidate."),
        Message("A scikit-learn pipeline of preprocessing and classifier, saved with skops."),
    ),
    Artifact(
        "model: requirements.txt",
        Message("What the model needs to be served elsewhere."),
        Message("Pinned versions of its libraries."),
    ),
    Artifact(
        "run: tables/comparison.parquet",
        Message("Compares the candidates."),
        Message("A row per candidate with its figures from cross-validation and on the test set."),
    ),
    Artifact(
        "run: figures/comparison.svg",
        Message("The same as a picture."),
        Message("The log loss of each candidate with its interval."),
    ),
    Artifact(
        "run: tables/paired.parquet",
        Message("Tells whether candidates differ beyond chance."),
        Message("The difference of log losses to the best, row by row, with its interval."),
    ),
    Artifact(
        "run: figures/paired.svg",
        Message("The same as a picture."),
        Message("The differences with their intervals."),
        Message("Where there are several candidates."),
    ),
    Artifact(
        "run: tables/folds.parquet",
        Message("Shows how steady each candidate is."),
        Message("The figures of each fold of each candidate."),
    ),
    Artifact(
        "run: tables/roc.parquet",
        Message("Draws the ROC curves over each other."),
        Message("Points of the curve of each candidate."),
    ),
    Artifact(
        "run: tables/calibration.parquet",
        Message("Draws forecast against observed shares."),
        Message("Bins of the forecasts of each candidate."),
    ),
    Artifact(
        "run: tables/pr.parquet",
        Message("Draws precision against recall."),
        Message("Points of the curve of each candidate."),
    ),
    Artifact(
        "run: tables/gain.parquet",
        Message("Draws what the highest forecasts hold."),
        Message("Points of the curve of each candidate."),
    ),
    Artifact(
        "run: tables/confusion.parquet",
        Message("Counts both kinds of mistakes."),
        Message("Rows by candidate, label and predicted label."),
    ),
    Artifact(
        "run: tables/learning.parquet",
        Message("Tells whether more rows would help."),
        Message("Log loss of the best candidate by the number of rows that it learned from."),
        Message("Unless the learning curve was switched off."),
    ),
    Artifact(
        "run: figures/learning.svg",
        Message("The same as a picture."),
        Message("The curve with its spread over the folds."),
        Message("Unless the learning curve was switched off."),
    ),
    Artifact(
        "run: tables/left_out.parquet",
        Message("Tells which candidates failed, and why."),
        Message("Name and reason."),
    ),
    Artifact(
        "run: tables/test_rows.parquet",
        Message("The reference that monitoring compares with."),
        Message("The test rows with all columns, as they were at the training."),
    ),
    Artifact(
        "run: tables/train_keys.parquet",
        Message("Keeps training rows out of later judgements."),
        Message("The ids of the training rows."),
    ),
    Artifact(
        TEST_PREDICTIONS,
        Message("The answers that all test figures come from."),
        Message("Inputs, probability, predicted label and label of each test row."),
    ),
    Artifact(
        "candidate: tables/validation.parquet",
        Message("Chooses the threshold without the test set."),
        Message("The forecast of each training row by the fold that had not seen it."),
    ),
    Artifact(
        "candidate: tables/thresholds.parquet",
        Message("Shows what another threshold would do."),
        Message("Precision, recall, F1 and counts of mistakes at each threshold."),
    ),
    Artifact(
        "candidate: tables/slices.parquet",
        Message("Finds groups of rows that it errs on."),
        Message(
            "Figures per value of the columns that errors are judged by, with a verdict "
            "that allows for chance."
        ),
    ),
    Artifact(
        "candidate: tables/confusion.parquet",
        Message("Counts both kinds of mistakes."),
        Message("Rows by label and predicted label."),
    ),
    Artifact(
        "candidate: tables/folds.parquet",
        Message("Shows how steady it is."),
        Message("The figures of each fold."),
    ),
    Artifact(
        "candidate: tables/roc.parquet",
        Message("Draws its ROC curve."),
        Message("Points of the curve."),
    ),
    Artifact(
        "candidate: tables/pr.parquet",
        Message("Draws precision against recall."),
        Message("Points of the curve."),
    ),
    Artifact(
        "candidate: tables/calibration.parquet",
        Message("Draws forecast against observed shares."),
        Message("Bins of its forecasts."),
    ),
    Artifact(
        "candidate: tables/gain.parquet",
        Message("Draws what the highest forecasts hold."),
        Message("Points of the curve."),
    ),
    Artifact(
        "candidate: tables/court.parquet",
        Message("Draws where it errs."),
        Message("Forecast and observed share per cell of the ground."),
        Message("Where the project has a chart of places."),
        part="court",
    ),
    Artifact(
        "candidate: figures/roc.svg", Message("The ROC curve."), Message("The curve as a picture.")
    ),
    Artifact(
        "candidate: figures/calibration.svg",
        Message("Forecast against observed shares."),
        Message("The curve as a picture."),
    ),
    Artifact(
        "candidate: figures/confusion.svg",
        Message("Both kinds of mistakes."),
        Message("The counts as a picture."),
    ),
)

PROMOTE = (
    Artifact(
        CHAMPION,
        Message("The version that is served and monitored."),
        Message("An alias that points at a registered version; @previous keeps the one before."),
    ),
    Artifact(
        "run: tables/rules.parquet",
        Message("Why it was let pass, held or refused."),
        Message("A row per rule of the gate: verdict, value, limit and a sentence."),
    ),
    Artifact(
        "run: tables/comparison.parquet",
        Message("Compares challenger and champion."),
        Message("Each figure of both with the interval of the difference."),
        Message("Where both could be asked."),
    ),
    Artifact(
        "run: tables/slices.parquet",
        Message("Tells whether a group of rows is harmed."),
        Message("The difference of log losses per value of the columns that errors are judged by."),
        Message("Where both could be asked."),
    ),
    Artifact(
        "run: tables/judged_rows.parquet",
        Message("To judge again by the same rows."),
        Message("Id, label and both forecasts of each row."),
        Message("Where both could be asked."),
    ),
)

EXPLAIN = (
    Artifact(
        "run: tables/importance.parquet",
        Message("Tells which features matter."),
        Message("What the log loss loses when a feature is shuffled, with its interval."),
        Message("When the model is explained in general."),
    ),
    Artifact(
        "run: tables/shap.parquet",
        Message("Tells how features move single forecasts."),
        Message("The contribution of each feature to the forecast of each row."),
        Message("When the model is explained in general."),
    ),
    Artifact(
        "run: tables/partial.parquet",
        Message("Tells how a forecast follows a feature."),
        Message("The mean forecast along the values of each feature."),
        Message("When the model is explained in general."),
    ),
    Artifact(
        "run: tables/shap_rows.parquet",
        Message("Tells which rows were explained."),
        Message("Inputs, forecast and label of each."),
        Message("When the model is explained in general."),
    ),
    Artifact(
        "run: figures/importance.svg",
        Message("Which features matter."),
        Message("Bars as a picture."),
        Message("When the model is explained in general."),
    ),
    Artifact(
        "run: figures/shap.svg",
        Message("How features move forecasts."),
        Message("A strip of points per feature as a picture."),
        Message("When the model is explained in general."),
    ),
    Artifact(
        "run: figures/partial_<feature>.svg",
        Message("How a forecast follows a feature."),
        Message("A line as a picture."),
        Message("When the model is explained in general."),
    ),
    Artifact(
        "run: tables/contributions.parquet",
        Message("Tells why this row got its forecast."),
        Message("The contribution of each feature."),
        Message("When a single row is explained."),
    ),
    Artifact(
        "run: figures/contributions.svg",
        Message("Why this row got its forecast."),
        Message("A waterfall as a picture."),
        Message("When a single row is explained."),
    ),
    Artifact(
        "run: tables/along.parquet",
        Message("Tells what another value would do."),
        Message("The forecast of the row along each input."),
        Message("When a single row is explained with its surroundings."),
    ),
    Artifact(
        "run: tables/map.parquet",
        Message("Tells what another place would do."),
        Message("The forecast of the row per cell of the ground."),
        Message("When a single row is explained with its surroundings."),
    ),
    Artifact(
        "run: figures/map.svg",
        Message("What another place would do."),
        Message("The cells as a picture."),
        Message("When a single row is explained with its surroundings."),
    ),
)

SERVE = (
    Artifact(
        ENDPOINT,
        Message("To find, watch and stop the server that answers."),
        Message("Version, port, address and process of the server."),
        Message("While it answers."),
    ),
    Artifact(
        "logs/serve-<port>.log",
        Message("To see why a server did not start."),
        Message("What the server wrote."),
    ),
)

SCORE = (
    Artifact(
        SCORED,
        Message("The table of results."),
        Message(
            "A row per scored row: its inputs, its probability and predicted label, and "
            "its label where that is known."
        ),
    ),
    Artifact(
        LOG,
        Message("Remembers what the model answered, until labels come."),
        Message(
            "A row per answer: key, moment, version, inputs, probability, predicted label; "
            "and labels with the moment they came."
        ),
        Message("Or the database that COURTSIDE_PREDICTIONS_URL names."),
    ),
    Artifact(
        "run: files/<source>_<scoring>.parquet",
        Message("The table of results in the run."),
        Message("As in the folder of data."),
        Message("Unless rows were scored from an address into another."),
    ),
    Artifact(
        "run: figures/probability.svg",
        Message("How the probabilities lie."),
        Message("The density as a picture; the Vega-Lite text stands beside it."),
        Message("Unless rows were scored from an address into another."),
    ),
    Artifact(
        "run: tables/validation.parquet",
        Message("Tells what is wrong or odd with the file."),
        Message("A row per finding: severity, column, number of rows, examples and a sentence."),
        Message("Where a file was uploaded."),
    ),
    Artifact(
        "run: tables/rejected.parquet",
        Message("Tells which rows were not scored, and why."),
        Message("Row, column, value and reason."),
        Message("Where rows were refused."),
    ),
)

LABEL = (
    Artifact(
        "run: tables/rejected.parquet",
        Message("Tells which labels could not be used, and why."),
        Message("Row and reason."),
    ),
)

MONITOR = (
    Artifact(
        REPORT,
        Message("The monitoring report."),
        Message(
            "Verdict, what to do, which rows were compared, and all checks with value, "
            "interval, limits and verdict."
        ),
    ),
    Artifact(
        "run: documents/report.json",
        Message("The same in the run."),
        Message("As in the folder of data."),
    ),
    Artifact(
        "run: files/monitoring_<run>.json",
        Message("A copy that goes with the run."),
        Message("As in the folder of data."),
    ),
    Artifact(
        "run: tables/checks.parquet",
        Message("What the verdict follows from."),
        Message("A row per check: value, reference, interval, limits, verdict, and what to do."),
    ),
    Artifact(
        "run: tables/drift.parquet",
        Message("Shows which columns moved."),
        Message("PSI, KS, Jensen-Shannon distance, chi-squared and more of each column."),
    ),
    Artifact(
        "run: tables/slices.parquet",
        Message("Shows where the model errs."),
        Message("Figures per value of the columns that errors are judged by."),
        Message("Where both sides have these columns."),
    ),
    Artifact(
        "run: tables/densities.parquet",
        Message("Draws reference and current rows over each other."),
        Message("Densities of each column and of the probability, on both sides."),
    ),
    Artifact(
        "run: tables/reliability.parquet",
        Message("Draws forecast against observed shares."),
        Message("Bins of the forecasts on both sides."),
    ),
    Artifact(
        "run: tables/confusion.parquet",
        Message("Counts both kinds of mistakes."),
        Message("Rows by label and predicted label on both sides."),
    ),
    Artifact(
        "run: tables/ranking.parquet",
        Message("Tells by which columns both sides differ most."),
        Message("What tells current from reference rows: ROC AUC and importance of each column."),
    ),
    Artifact(
        "run: figures/psi.svg",
        Message("Which columns moved."),
        Message("The PSI of each as a picture."),
    ),
    Artifact(
        "run: figures/probability.svg",
        Message("How the probabilities lie on both sides."),
        Message("Two densities as a picture."),
    ),
    Artifact(
        "run: figures/reliability.svg",
        Message("Forecast against observed shares."),
        Message("The curves of both sides as a picture."),
    ),
    Artifact(
        "state/state.db: alerts",
        Message("Remembers what rang, and who was told."),
        Message("Alerts with the check, its value, its limit and when it was sent or put away."),
        Message("For reports of the present; those of the past ring for nobody."),
    ),
    Artifact(
        "data/08_reporting/monitoring_<run>/evidently.html",
        Message("The same rows for those who know evidently's report."),
        Message("Evidently's drift report."),
        Message("Where evidently is installed."),
    ),
)

RETRAIN = (
    Artifact(
        "run: documents/decision.json",
        Message("The decision."),
        Message("What was decided, its reasons, what to do, and the reports it rests on."),
    ),
    Artifact(
        "run: tables/windows.parquet",
        Message("What the decision was made by."),
        Message("A row per report of this champion: its span, rows, labels and alerts."),
    ),
    Artifact(
        "run: tables/reasons.parquet",
        Message("Tells why it was decided so."),
        Message("The reasons, a sentence each."),
    ),
    Artifact(
        "run: tables/by_kind.parquet",
        Message("Shows whom the new version serves better."),
        Message("The difference of log losses per kind of row."),
        Message("Where a new version was trained and its test rows are of several kinds."),
    ),
)

REPLAY = (
    Artifact(
        "run: tables/policies.parquet",
        Message("Compares the policies."),
        Message(
            "A row per policy: log loss, gain over doing nothing with its interval, "
            "trainings, alarms."
        ),
    ),
    Artifact(
        "run: tables/windows.parquet",
        Message("Tells what happened in each window of time."),
        Message("A row per policy and window: rows, labels, figures, verdict and decision."),
    ),
    Artifact(
        "run: tables/decisions.parquet",
        Message("Tells when and why was retrained."),
        Message("A row per policy and window: decision, reasons and what to do."),
    ),
    Artifact(
        "run: figures/log_loss.svg",
        Message("The log loss in the order of time."),
        Message("A line per policy as a picture."),
    ),
    Artifact(
        "run: figures/gain.svg",
        Message("What each policy gained, added up."),
        Message("A line per policy as a picture."),
    ),
)
