"""Every artifact of the steps: its path, purpose and contents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from core.platform.messages import Message, Words

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
    purpose, contents : Message
        A sentence each.
    when : Message or str
        A sentence on when it is written; empty if always.
    part : str
        The project plugin that it needs, see `core.platform.plugins`; may be empty.
    """

    path: str
    purpose: Words
    contents: Words
    when: Words = ""
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
    Message("To repeat the run exactly."),
    Message("Its options and settings, without secrets."),
)

ACQUIRE = (
    Artifact(
        RAW,
        Message("The unchanged source."),
        Message(
            "The source's files, unchanged and write-protected, in a folder named by their digest."
        ),
    ),
    Artifact(
        "data/01_raw/<snapshot>/snapshot.json",
        Message("Records the origin of the raw data."),
        Message(
            "Name, size, SHA-256 and origin of each file; number of rows and columns; the run."
        ),
    ),
    Artifact(
        CURRENT,
        Message("Names the snapshot that later steps read."),
        Message("The record of the current snapshot."),
    ),
    Artifact(
        "run: tables/validation.parquet",
        Message("Lists errors and oddities in the source."),
        Message("A row per finding: severity, column, number of rows, examples and text."),
    ),
    Artifact(
        "run: tables/files.parquet",
        Message("Lineage: which files the run read."),
        Message("Name, SHA-256, bytes and origin of each file."),
    ),
    Artifact(
        "run: tables/columns.parquet",
        Message("Profiles the data, column by column."),
        Message(
            "Type, meaning, missing values, range, mean, most frequent value, and the ROC AUC of "
            "the column alone, for all rows and each kind of row."
        ),
    ),
    Artifact(
        "run: tables/bins.parquet",
        Message("Draws the distribution of each column."),
        Message(
            "Counts of positive, negative and unlabelled rows per value or bin of each column."
        ),
    ),
    Artifact(
        "run: tables/values.parquet",
        Message("Supplies the values of the row filters."),
        Message("Number of rows per value of each filter column."),
    ),
    Artifact(
        "run: tables/correlation.parquet",
        Message("Shows redundant columns."),
        Message("The correlation of each pair of numeric columns."),
    ),
    Artifact(
        "run: tables/leakage.parquet",
        Message("Warns of columns that leak the label."),
        Message(
            "Columns known only after the event, identifiers, constants, and columns that predict "
            "the label too well, each with an explanation."
        ),
    ),
    Artifact(
        "run: tables/court_cells.parquet",
        Message("Draws the positions of the events."),
        Message("Number of events and of positive events per cell of the map."),
        Message("If the project has a map."),
        part="court",
    ),
    Artifact(
        "run: tables/court_points.parquet",
        Message("Draws single events."),
        Message("At most 30,000 rows with position and label."),
        Message("If the project has a map."),
        part="court",
    ),
)

PREPARE = (
    Artifact(
        FILTERED,
        Message("The rows for training and test, before the split."),
        Message("The inputs and the target, sorted by the project's id."),
    ),
    Artifact(
        TRAIN_SET,
        Message("To fit and cross-validate the candidates."),
        Message("The inputs and the target of the training rows."),
    ),
    Artifact(
        TEST_SET,
        Message("To evaluate the candidates, once."),
        Message("The inputs and the target of the test rows."),
    ),
    Artifact(
        TRAIN_ROWS,
        Message("To evaluate a model by columns that are not inputs."),
        Message("The training rows in the same order, with all columns of the project."),
    ),
    Artifact(
        TEST_ROWS,
        Message("To evaluate a model by columns that are not inputs."),
        Message("The test rows in the same order, with all columns of the project."),
    ),
    Artifact(
        "data/05_model_input/prepared.json",
        Message("Identifies the current sets for training."),
        Message("Snapshot, options, run, commit and SHA-256 of each set."),
    ),
    Artifact(
        "run: documents/lineage.json",
        Message("A copy in the run."),
        Message("Snapshot, options, run, commit and SHA-256 of each set."),
    ),
    Artifact(
        "run: files/<set>.parquet",
        Message("Copies that a later preparation does not replace."),
        Message("The five data files, as in the data folders."),
    ),
    Artifact(
        "run: tables/missing.parquet",
        Message("Shows how many rows missing values cost."),
        Message("Missing values per column among the selected rows."),
    ),
    Artifact(
        "run: tables/class_balance.parquet",
        Message("Shows the class balance of both sets."),
        Message("Rows per set and label."),
    ),
    Artifact(
        "run: figures/class_balance.svg",
        Message("The same as a picture."),
        Message("Bars per set, with the Vega-Lite specification."),
    ),
    Artifact(
        "run: tables/split_checks.parquet",
        Message("Checks the split before training."),
        Message(
            "Test share, class balance, drift between the sets, and groups or dates in both, each "
            "with a verdict."
        ),
    ),
    Artifact(
        "run: tables/split_drift.parquet",
        Message("Shows drift between the sets."),
        Message(
            "PSI, KS, Jensen-Shannon distance and chi-squared of each feature, train against test."
        ),
    ),
    Artifact(
        "run: tables/leakage.parquet",
        Message("Warns of features that leak the label."),
        Message("A row per finding, with an explanation."),
    ),
)

TRAIN = (
    Artifact(
        CHALLENGER,
        Message("The version that may become the champion."),
        Message(
            "A registered version of the best candidate, with its threshold, inputs and features; "
            "it becomes the champion if there is none."
        ),
    ),
    Artifact(
        "model: MLmodel",
        Message("What MLflow loads and serves."),
        Message("Signature, library versions, and the name of the serving code."),
    ),
    Artifact(
        "model: served_model.py",
        Message(
            "The serving code: it validates rows, computes features, and returns probability and "
            "predicted label."
        ),
        Message("The module at the time of training."),
    ),
    Artifact(
        "model: artifacts/pipeline.<kind>",
        Message("The fitted candidate."),
        Message("A scikit-learn pipeline of preprocessing and classifier, saved with skops."),
    ),
    Artifact(
        "model: requirements.txt",
        Message("The model's dependencies."),
        Message("Pinned versions of its libraries."),
    ),
    Artifact(
        "run: tables/comparison.parquet",
        Message("Compares the candidates."),
        Message("A row per candidate with its metrics in cross-validation and on the test set."),
    ),
    Artifact(
        "run: figures/comparison.svg",
        Message("The same as a picture."),
        Message("The log loss of each candidate with its interval."),
    ),
    Artifact(
        "run: tables/paired.parquet",
        Message("Shows whether candidates differ beyond chance."),
        Message("The paired difference in log loss from the best, with its interval."),
    ),
    Artifact(
        "run: figures/paired.svg",
        Message("The same as a picture."),
        Message("The differences with their intervals."),
        Message("If there are several candidates."),
    ),
    Artifact(
        "run: tables/folds.parquet",
        Message("Shows each candidate's variation between folds."),
        Message("The metrics of each fold of each candidate."),
    ),
    Artifact(
        "run: tables/roc.parquet",
        Message("Draws the ROC curves."),
        Message("Points of the curve of each candidate."),
    ),
    Artifact(
        "run: tables/calibration.parquet",
        Message("Draws the calibration curve."),
        Message("Bins of each candidate's predicted probabilities."),
    ),
    Artifact(
        "run: tables/pr.parquet",
        Message("Draws the precision-recall curve."),
        Message("Points of the curve of each candidate."),
    ),
    Artifact(
        "run: tables/gain.parquet",
        Message("Draws the cumulative gain curve."),
        Message("Points of the curve of each candidate."),
    ),
    Artifact(
        "run: tables/confusion.parquet",
        Message("Counts false positives and false negatives."),
        Message("Rows by candidate, label and predicted label."),
    ),
    Artifact(
        "run: tables/learning.parquet",
        Message("Shows whether more rows would help."),
        Message("Log loss of the best candidate by number of training rows."),
        Message("Unless the learning curve is off."),
    ),
    Artifact(
        "run: figures/learning.svg",
        Message("The same as a picture."),
        Message("The curve with its spread over the folds."),
        Message("Unless the learning curve is off."),
    ),
    Artifact(
        "run: tables/left_out.parquet",
        Message("Lists the candidates that failed, with the reason."),
        Message("Name and reason."),
    ),
    Artifact(
        "run: tables/test_rows.parquet",
        Message("The reference of monitoring."),
        Message("The test rows with all columns, at the time of training."),
    ),
    Artifact(
        "run: tables/train_keys.parquet",
        Message("Keeps training rows out of later evaluations."),
        Message("The ids of the training rows."),
    ),
    Artifact(
        TEST_PREDICTIONS,
        Message("The predictions behind all test metrics."),
        Message("Inputs, probability, predicted label and label of each test row."),
    ),
    Artifact(
        "candidate: tables/validation.parquet",
        Message("To choose the threshold without the test set."),
        Message("The out-of-fold prediction for each training row."),
    ),
    Artifact(
        "candidate: tables/thresholds.parquet",
        Message("Shows the effect of other thresholds."),
        Message("Precision, recall, F1 and number of errors at each threshold."),
    ),
    Artifact(
        "candidate: tables/slices.parquet",
        Message("Shows slices with larger errors."),
        Message("Metrics per value of each slice column, with a verdict that allows for chance."),
    ),
    Artifact(
        "candidate: tables/confusion.parquet",
        Message("Counts false positives and false negatives."),
        Message("Rows by label and predicted label."),
    ),
    Artifact(
        "candidate: tables/folds.parquet",
        Message("Shows its variation between folds."),
        Message("The metrics of each fold."),
    ),
    Artifact(
        "candidate: tables/roc.parquet",
        Message("Draws its ROC curve."),
        Message("Points of the curve."),
    ),
    Artifact(
        "candidate: tables/pr.parquet",
        Message("Draws the precision-recall curve."),
        Message("Points of the curve."),
    ),
    Artifact(
        "candidate: tables/calibration.parquet",
        Message("Draws the calibration curve."),
        Message("Bins of its predicted probabilities."),
    ),
    Artifact(
        "candidate: tables/gain.parquet",
        Message("Draws the cumulative gain curve."),
        Message("Points of the curve."),
    ),
    Artifact(
        "candidate: tables/court.parquet",
        Message("Draws its errors on the map."),
        Message("Mean predicted probability and observed rate per cell of the map."),
        Message("If the project has a map."),
        part="court",
    ),
    Artifact(
        "candidate: figures/roc.svg", Message("The ROC curve."), Message("The curve as a picture.")
    ),
    Artifact(
        "candidate: figures/calibration.svg",
        Message("The calibration curve."),
        Message("The curve as a picture."),
    ),
    Artifact(
        "candidate: figures/confusion.svg",
        Message("False positives and false negatives."),
        Message("The counts as a picture."),
    ),
)

PROMOTE = (
    Artifact(
        CHAMPION,
        Message("The version that is served and monitored."),
        Message("An alias of a registered version; @previous is the one before."),
    ),
    Artifact(
        "run: tables/rules.parquet",
        Message("Explains the gate's decision."),
        Message("A row per rule of the gate: verdict, value, limit and text."),
    ),
    Artifact(
        "run: tables/comparison.parquet",
        Message("Compares challenger and champion."),
        Message("Each metric of both, with the interval of the difference."),
        Message("If both could score the rows."),
    ),
    Artifact(
        "run: tables/slices.parquet",
        Message("Shows whether a slice gets worse."),
        Message("The difference in log loss per value of each slice column."),
        Message("If both could score the rows."),
    ),
    Artifact(
        "run: tables/judged_rows.parquet",
        Message("To repeat the comparison on the same rows."),
        Message("Id, label and both predicted probabilities of each row."),
        Message("If both could score the rows."),
    ),
)

EXPLAIN = (
    Artifact(
        "run: tables/importance.parquet",
        Message("Shows which features matter."),
        Message("The increase in log loss when a feature is shuffled, with its interval."),
        Message("When the model is explained overall."),
    ),
    Artifact(
        "run: tables/shap.parquet",
        Message("Shows how features move single predictions."),
        Message("The contribution of each feature to the prediction for each row."),
        Message("When the model is explained overall."),
    ),
    Artifact(
        "run: tables/partial.parquet",
        Message("Shows how the prediction depends on a feature."),
        Message("The mean predicted probability by value of each feature."),
        Message("When the model is explained overall."),
    ),
    Artifact(
        "run: tables/shap_rows.parquet",
        Message("Lists the explained rows."),
        Message("Inputs, predicted probability and label of each row."),
        Message("When the model is explained overall."),
    ),
    Artifact(
        "run: figures/importance.svg",
        Message("Which features matter."),
        Message("Bars as a picture."),
        Message("When the model is explained overall."),
    ),
    Artifact(
        "run: figures/shap.svg",
        Message("How features move predictions."),
        Message("A strip of points per feature as a picture."),
        Message("When the model is explained overall."),
    ),
    Artifact(
        "run: figures/partial_<feature>.svg",
        Message("How the prediction depends on a feature."),
        Message("A line as a picture."),
        Message("When the model is explained overall."),
    ),
    Artifact(
        "run: tables/contributions.parquet",
        Message("Explains the prediction for the row."),
        Message("The contribution of each feature."),
        Message("When a single row is explained."),
    ),
    Artifact(
        "run: figures/contributions.svg",
        Message("The explanation of the prediction."),
        Message("A waterfall chart as a picture."),
        Message("When a single row is explained."),
    ),
    Artifact(
        "run: tables/along.parquet",
        Message("Shows the effect of other values."),
        Message("The row's predicted probability along each input."),
        Message("When a single row is explained with other values."),
    ),
    Artifact(
        "run: tables/map.parquet",
        Message("Shows the effect of other positions."),
        Message("The row's predicted probability per cell of the map."),
        Message("When a single row is explained with other values."),
    ),
    Artifact(
        "run: figures/map.svg",
        Message("The effect of other positions."),
        Message("The map as a picture."),
        Message("When a single row is explained with other values."),
    ),
)

SERVE = (
    Artifact(
        ENDPOINT,
        Message("To find, watch and stop the server."),
        Message("Version, port, address and process of the server."),
        Message("While the server runs."),
    ),
    Artifact(
        "logs/serve-<port>.log",
        Message("To see why a server did not start."),
        Message("The server's output."),
    ),
)

SCORE = (
    Artifact(
        SCORED,
        Message("The table of results."),
        Message(
            "A row per scored row: inputs, predicted probability, predicted label, and the label "
            "if known."
        ),
    ),
    Artifact(
        LOG,
        Message("Keeps predictions until their labels arrive."),
        Message(
            "A row per prediction: key, time, version, inputs, probability, predicted label; and "
            "labels with their time of arrival."
        ),
        Message("Or in the database of COURTSIDE_PREDICTIONS_URL."),
    ),
    Artifact(
        "run: files/<source>_<scoring>.parquet",
        Message("The table of results in the run."),
        Message("As in the data folder."),
        Message("Unless rows were read from one address and their results written to another."),
    ),
    Artifact(
        "run: figures/probability.svg",
        Message("The distribution of the probabilities."),
        Message("The density as a picture, with the Vega-Lite specification."),
        Message("Unless rows were read from one address and their results written to another."),
    ),
    Artifact(
        "run: tables/validation.parquet",
        Message("Lists errors and oddities in the file."),
        Message("A row per finding: severity, column, number of rows, examples and text."),
        Message("If a file was uploaded."),
    ),
    Artifact(
        "run: tables/rejected.parquet",
        Message("Lists the rows that were not scored, with the reason."),
        Message("Row, column, value and reason."),
        Message("If rows were rejected."),
    ),
)

LABEL = (
    Artifact(
        "run: tables/rejected.parquet",
        Message("Lists the labels that could not be used, with the reason."),
        Message("Row and reason."),
    ),
)

MONITOR = (
    Artifact(
        REPORT,
        Message("The monitoring report."),
        Message(
            "Verdict, what to do, the compared rows, and all checks with value, interval, limits "
            "and verdict."
        ),
    ),
    Artifact(
        "run: documents/report.json",
        Message("The report in the run."),
        Message("As in the data folder."),
    ),
    Artifact(
        "run: files/monitoring_<run>.json",
        Message("A copy in the run."),
        Message("As in the data folder."),
    ),
    Artifact(
        "run: tables/checks.parquet",
        Message("The checks behind the verdict."),
        Message("A row per check: value, reference, interval, limits, verdict, and what to do."),
    ),
    Artifact(
        "run: tables/drift.parquet",
        Message("Shows which columns drifted."),
        Message("PSI, KS, Jensen-Shannon distance, chi-squared and more of each column."),
    ),
    Artifact(
        "run: tables/slices.parquet",
        Message("Shows the errors per slice."),
        Message("Metrics per value of each slice column."),
        Message("If reference and current rows have these columns."),
    ),
    Artifact(
        "run: tables/densities.parquet",
        Message("Compares the distributions of reference and current rows."),
        Message("Densities of each column and of the probability, reference and current."),
    ),
    Artifact(
        "run: tables/reliability.parquet",
        Message("Draws the calibration curve."),
        Message("Bins of the predicted probabilities, reference and current."),
    ),
    Artifact(
        "run: tables/confusion.parquet",
        Message("Counts false positives and false negatives."),
        Message("Rows by label and predicted label, reference and current."),
    ),
    Artifact(
        "run: tables/ranking.parquet",
        Message("Ranks the columns by their difference."),
        Message(
            "The classifier of reference against current rows: ROC AUC and importance of each "
            "column."
        ),
    ),
    Artifact(
        "run: figures/psi.svg",
        Message("The columns that drifted."),
        Message("The PSI of each as a picture."),
    ),
    Artifact(
        "run: figures/probability.svg",
        Message("The distributions of the probabilities, reference and current."),
        Message("Two densities as a picture."),
    ),
    Artifact(
        "run: figures/reliability.svg",
        Message("The calibration curve."),
        Message("Both curves as a picture."),
    ),
    Artifact(
        "state/state.db: alerts",
        Message("Keeps alerts and their notifications."),
        Message("Alerts with check, value, limit, and when they were sent or dismissed."),
        Message("Not for reports on past windows."),
    ),
    Artifact(
        "data/08_reporting/monitoring_<run>/evidently.html",
        Message("The same comparison in Evidently."),
        Message("Evidently's drift report."),
        Message("If Evidently is installed."),
    ),
)

RETRAIN = (
    Artifact(
        "run: documents/decision.json",
        Message("The decision."),
        Message("Decision, reasons, what to do, and the reports used."),
    ),
    Artifact(
        "run: tables/windows.parquet",
        Message("The basis of the decision."),
        Message("A row per report on this champion: period, rows, labels and alerts."),
    ),
    Artifact(
        "run: tables/reasons.parquet",
        Message("Explains the decision."),
        Message("The reasons, one per row."),
    ),
    Artifact(
        "run: tables/by_kind.parquet",
        Message("Shows which rows the new version predicts better."),
        Message("The difference in log loss per kind of row."),
        Message("If a new version was trained and its test rows are of several kinds."),
    ),
)

REPLAY = (
    Artifact(
        "run: tables/policies.parquet",
        Message("Compares the policies."),
        Message(
            "A row per policy: log loss, gain over no retraining with its interval, retrainings, "
            "alarms."
        ),
    ),
    Artifact(
        "run: tables/windows.parquet",
        Message("Shows the result of each time window."),
        Message("A row per policy and window: rows, labels, metrics, verdict and decision."),
    ),
    Artifact(
        "run: tables/decisions.parquet",
        Message("Shows when and why a policy retrained."),
        Message("A row per policy and window: decision, reasons and what to do."),
    ),
    Artifact(
        "run: figures/log_loss.svg",
        Message("The log loss over time."),
        Message("A line per policy as a picture."),
    ),
    Artifact(
        "run: figures/gain.svg",
        Message("The cumulative gain of each policy."),
        Message("A line per policy as a picture."),
    ),
)
