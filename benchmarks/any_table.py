"""Tables of other people through the life cycle, with nothing but a file and the target's name.

    python -m benchmarks.any_table FOLDER [--tables Default flights] [--folds 3] [--out FILE]
    python -m benchmarks.any_table FOLDER --tables flights_in_time --folds 0

Each table gets a project from its guesses, a random 30% as current rows, and then acquire, prepare,
train, score in process and monitor, all in one process. Printed are seconds, log loss and average
precision on the test rows beside scikit-learn's HistGradientBoostingClassifier with its defaults on
the same rows and columns (native categories and missing values), and the verdict on the current
rows. `holds` says whether the log loss is at most that of the baseline, within the 95% interval of
the paired difference; sampling weights, where they are guessed, count on both sides. The table
flights_in_time has January to June as reference and July to December as current rows; no folds
means what New project does. Takes 20 to 60 s a table, a few minutes for the largest. The
tables are not part of this repository: each is a CSV or parquet file.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.data.guess import Guesses, guess
from core.data.guess_roles import RANDOM, Cut
from core.data.guess_sample import read_some
from core.monitoring.records import ReportRun
from core.platform import lifecycle, project, projects, steps, storage, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError
from core.platform.own_columns import LABEL, PROBABILITY
from core.runtime.printed_progress import PrintedProgress
from core.stats import intervals
from core.training.records import TrainingRun

Floats = npt.NDArray[np.float64]

# more levels than this: the baseline takes the most frequent ones
LEVELS = 254
# file, target, positive class where the guess is not meant
TARGETS: dict[str, tuple[str, str, str | None]] = {
    "Default": ("Default.csv", "default", None),
    "TitanicSurvival": ("TitanicSurvival.csv", "survived", None),
    "penguins": ("penguins.csv", "sex", None),
    "Smarket": ("Smarket.csv", "Direction", None),
    "attrition": ("attrition.csv", "Attrition", None),
    "credit_data": ("credit_data.csv", "Status", None),
    "spam7": ("spam7.csv", "yesno", None),
    "email": ("email.csv", "spam", None),
    "resume": ("resume.csv", "received_callback", None),
    "Arrests": ("Arrests.csv", "released", None),
    "stackoverflow": ("stackoverflow.csv", "Remote", None),
    "Caravan": ("Caravan.csv", "Purchase", None),
    "wa_churn": ("wa_churn.csv", "churn", None),
    "flchain": ("flchain.csv", "death", None),
    "HealthInsurance": ("HealthInsurance.csv", "insurance", None),
    "SmokeBan": ("SmokeBan.csv", "smoker", None),
    "lending_club": ("lending_club.csv", "Class", None),
    "loans_full_schema": ("loans_full_schema.csv", "application_type", None),
    "nassCDS": ("nassCDS.csv", "dead", None),
    "MplsStops": ("MplsStops.csv", "personSearch", None),
    "employment": ("employment_MA_reference.parquet", "employed", None),
    "flights": ("flights.parquet", "late", None),
    "flights_in_time": ("flights.parquet", "late", None),
}
# the current rows of a table; all others have a random 30%
CUTS = {"flights_in_time": Cut("date", column="time_hour", start="2013-07-01")}


@dataclass(frozen=True)
class Skill:
    """Log loss and average precision on the test rows, of the model and of the baseline."""

    log_loss: float
    log_loss_baseline: float
    average_precision: float
    average_precision_baseline: float
    log_loss_base_rate: float
    margin: float

    @property
    def holds(self) -> bool:
        """Whether the model is at least as good as the baseline, within the interval."""
        return self.log_loss - self.log_loss_baseline <= self.margin


def table(folder: Path, name: str, own: Path) -> Path:
    """Return a table's file; flights get their target, which is derived."""
    path = folder / TARGETS[name][0]
    if not name.startswith("flights"):
        return path
    flights = pd.read_parquet(path)
    late = (flights["arr_delay"] > 15).where(flights["arr_delay"].notna()).astype("boolean")
    derived = own / "flights.parquet"
    flights.assign(late=late).to_parquet(derived)
    return derived


def chain(
    outer: Settings, name: str, path: Path, training: dict[str, Any], seen: dict[str, Any]
) -> Iterator[tuple[str, Settings]]:
    """Run the life cycle of a table; yield each step when it is done."""
    _, target, positive = TARGETS[name]
    guesses: Guesses = guess(read_some(path), target=target, positive=positive)
    guesses = guesses.with_(rows=CUTS.get(name, RANDOM))
    seen["positive"] = guesses.positive.value
    seen["left_out"] = {column: out.code for column, out in guesses.left_out.items()}
    settings = projects.create(outer, guesses.project_file(f"{name.lower()}_table", name))
    yield "new", settings
    acquire = {"source": "file", "path": path}
    usual = dict(lifecycle.of_table(acquire, has_current=True, rows=guesses.rows))
    for step, options in (
        ("acquire", acquire),
        ("prepare", {}),
        ("train", training or usual["train"]),
        ("score", {"source": "production", "way": "in_process"}),
        ("monitor", {}),
    ):
        module = steps.module(step)
        module.run(settings, module.Options(**options), PrintedProgress(quiet=True))
        yield step, settings


def compared(settings: Settings) -> tuple[str, Skill]:
    """Return the best candidate and its predictions of the test rows, and the baseline's."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import average_precision_score

    run = tracking.last_run(settings, "train")
    assert run is not None
    best = TrainingRun.read(run.tags).best_run
    predictions = tracking.table(settings, best, "test_predictions")
    spec = project.of(settings)
    prepared, train, test = storage.read_prepared(settings)
    on_train, on_test = (
        None if spec.weights is None else rows[spec.weights].to_numpy(dtype="float64")
        for rows in storage.read_rows(settings, prepared)
    )
    kinds = spec.kinds_of(prepared.inputs)
    shown = {
        column: _categories(train[column], test[column])
        if kinds[column] == "text"
        else (train[column].astype("float64"), test[column].astype("float64"))
        for column in prepared.inputs
    }
    fitted = HistGradientBoostingClassifier(
        categorical_features=[kinds[column] == "text" for column in shown], random_state=0
    ).fit(
        pd.DataFrame({column: part for column, (part, _) in shown.items()}),
        train[spec.target].to_numpy(dtype="int64"),
        sample_weight=on_train,
    )
    baseline = fitted.predict_proba(
        pd.DataFrame({column: part for column, (_, part) in shown.items()})
    )[:, 1]
    labels = predictions[LABEL].to_numpy(dtype="int64")
    assert (labels == test[spec.target].to_numpy(dtype="int64")).all()
    probability = predictions[PROBABILITY].to_numpy(dtype="float64")
    losses, others = _losses(labels, probability), _losses(labels, baseline)
    base = np.average(train[spec.target].astype("float64"), weights=on_train)
    rate = np.full(len(labels), base, dtype="float64")
    difference = intervals.influences(losses - others, on_test)
    return str(tracking.run(settings, best).params["model"]), Skill(  # type: ignore[union-attr]
        float(np.average(losses, weights=on_test)),
        float(np.average(others, weights=on_test)),
        float(average_precision_score(labels, probability, sample_weight=on_test)),
        float(average_precision_score(labels, baseline, sample_weight=on_test)),
        float(np.average(_losses(labels, rate), weights=on_test)),
        float(1.96 * difference.std(ddof=1) / np.sqrt(len(labels))),
    )


def _categories(train: Any, test: Any) -> tuple[Any, Any]:
    """Return the codes of the most frequent levels; all others are missing."""
    levels = pd.Index(train.value_counts().index[:LEVELS])
    codes = [pd.Series(levels.get_indexer(part), index=part.index) for part in (train, test)]
    known = [part.where(part >= 0).astype("float64") for part in codes]
    return known[0], known[1]


def _losses(labels: npt.NDArray[np.int64], probability: Floats) -> Floats:
    sure = np.clip(probability, 1e-15, 1 - 1e-15)
    losses: Floats = -np.where(labels == 1, np.log(sure), np.log1p(-sure))
    return losses


def measured(folder: Path, name: str, folds: int) -> dict[str, Any]:
    """Run a table in a home of its own, and return what is printed about it."""
    facts: dict[str, Any] = {"table": name, "reached": "nothing", "seconds": {}}
    with tempfile.TemporaryDirectory() as home:
        path = table(folder, name, Path(home))
        begin = start = time.perf_counter()
        spent = time.process_time()
        settings = Settings(home=home)
        try:
            training = {"folds": folds, "learning_seconds": 0} if folds else {}
            for step, own in chain(settings, name, path, training, facts):
                facts["seconds"][step] = round(time.perf_counter() - start, 1)
                facts["reached"], settings = step, own
                start = time.perf_counter()
        except CourtsideError as error:
            facts["error"] = str(error.message)
        except Exception as error:  # noqa: BLE001  one table must not end the others
            facts["error"] = f"{type(error).__name__}: {error}"
            traceback.print_exc(file=sys.stderr)
        facts["seconds_all"] = round(time.perf_counter() - begin, 1)
        facts["processor_seconds"] = round(time.process_time() - spent, 1)
        if facts["reached"] in ("train", "score", "monitor"):
            facts |= _results(settings)
    gc.collect()
    return facts


def _results(settings: Settings) -> dict[str, Any]:
    best, skill = compared(settings)
    facts: dict[str, Any] = {"best": best, **vars(skill), "holds": skill.holds}
    monitoring = tracking.last_run(settings, "monitor")
    if monitoring is not None:
        report = ReportRun.of(monitoring)
        facts |= {
            "verdict": report.verdict,
            "title": str(report.verdict_title),
            "alerts": list(report.alerts),
            "warnings": list(report.warnings),
        }
    return facts


def line(facts: dict[str, Any]) -> str:
    """Return a row of the printed table."""
    figures = [f"{facts['seconds_all']:.0f}"]
    if "log_loss" in facts:
        figures += [
            facts["best"],
            f"{facts['log_loss']:.4f}",
            f"{facts['log_loss_baseline']:.4f}",
            f"{facts['average_precision']:.3f}",
            f"{facts['average_precision_baseline']:.3f}",
            "yes" if facts["holds"] else "no",
        ]
    else:
        figures += [""] * 6
    ended = facts.get("verdict") or f"after {facts['reached']}: {facts.get('error')}"
    alarms = ", ".join([*facts.get("alerts", ()), *(f"({c})" for c in facts.get("warnings", ()))])
    return f"| {facts['table']} | {' | '.join(figures)} | {ended} | {alarms} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON lines, appended")
    given = parser.parse_args()
    print(
        "| table | seconds | best | log loss | baseline | average precision | baseline | holds "
        "| verdict | alerts (warnings) |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in given.tables:
        facts = measured(given.folder, name, given.folds)
        print(line(facts), flush=True)
        if given.out is not None:
            with given.out.open("a") as file:
                file.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
