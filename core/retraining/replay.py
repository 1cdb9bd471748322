"""replay: compare retraining policies on labelled history."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from core.data import snapshots
from core.platform import config, project, steps, tracking
from core.platform.config import Settings
from core.platform.messages import Message, Words, sentences
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Dataset, Progress, Record, counted
from core.retraining import injection as drifts
from core.retraining import (
    policy_comparison,
    replay_answer,
    replay_charts,
    replay_rows,
    replay_store,
    row_stream,
)
from core.retraining import simulation as replay
from core.retraining.injection import Injection
from core.retraining.policy import Policy, decide
from core.retraining.policy_evidence import Window
from core.retraining.records import ReplayRun
from core.retraining.row_stream import Span, Stream
from core.retraining.simulation import Champion, Recipe, Report
from core.stats import metrics
from core.stats.metrics import Floats
from core.training import candidates as kinds

Value = int | float | bool | str | None
# 180 days: once per yearly season, even if one ends early
POLICIES = (
    Policy(),
    Policy(strategy="reactive"),
    Policy(strategy="predictive"),
    Policy(strategy="calendar", every_days=180),
)
# interval of progress updates for a page, seconds
REPORT_SECONDS = 0.5


class Options(config.Options):
    """What to replay, and under which policies.

    Parameters
    ----------
    rows : {"development", "all"}
        The project's development rows, or all; only the labelled ones.
    features : tuple of str, optional
        Columns or engineered; the champion's by default, without one the project's.
    candidate, params : str, mapping
        The kind of classifier, one of `candidates.KINDS`, and parameters that differ from its
        defaults.
    window : {"column", "month", "year", "rows"}
        Rows of one report: a stretch of rows with the same value of `window_column`, a calendar
        month or year, or `window_rows` rows.
    window_column : str, optional
        By default the first of the project's slicing columns that divides time.
    window_rows : int
        50 to 100,000.
    train_windows : int
        Windows of the first training, 1 to 500.
    train_share, train_until : float, str, optional
        Instead of `train_windows`, the share of the rows, or the date until which to train.
    label_delay_days : float
        From a row to its label, 0 to 3,650 days.
    label_share : float
        Share of rows that ever get a label, 0.01 to 1.
    policies : tuple of Policy
        Policies to compare, 1 to 8; doing nothing is always added.
    injection : Injection, optional
        Drift to inject.
    speed : float
        Windows per second, 0 to 1,000; 0 is as fast as possible.
    seed : int
        Random seed of folds, draws and injected drift.
    """

    rows: Literal["development", "all"] = "development"
    features: tuple[str, ...] | None = Field(None, min_length=1)
    candidate: str = "lr"
    params: dict[str, Value] = Field(default_factory=dict)
    window: Literal["column", "month", "year", "rows"] = "column"
    window_column: str | None = None
    window_rows: int = Field(1000, ge=50, le=100_000)
    train_windows: int = Field(5, ge=1, le=500)
    train_share: float | None = Field(None, ge=0.01, le=0.95)
    train_until: str | None = Field(None, min_length=4, max_length=40)
    label_delay_days: float = Field(0.0, ge=0, le=3650)
    label_share: float = Field(1.0, ge=0.01, le=1)
    policies: tuple[Policy, ...] = Field(POLICIES, min_length=1, max_length=8)
    injection: Injection | None = None
    speed: float = Field(0.0, ge=0, le=1000)
    seed: int = Field(42, ge=0, le=2**31 - 1)

    @field_validator("candidate")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in kinds.KINDS:
            raise ValueError(Message("not in {table}: {names}", table="candidates", names=[value]))
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Options:
        if self.train_share is not None and self.train_until is not None:
            raise config.excluded("train_share", "train_until")
        if self.train_until is not None:
            drifts.seconds(self.train_until)
        codes = [policy_comparison.policy_code(policy) for policy in self.policies]
        if len(set(codes)) < len(codes):
            twice = {code for code in codes if codes.count(code) > 1}
            titles = [policy_comparison.titled(code) for code in sorted(twice)]
            raise ValueError(Message("used more than once: {names}", names=titles))
        return self


@dataclass(frozen=True)
class Result:
    """The result, by `policy_code`; log losses are means over all replayed rows."""

    run_id: str
    answer: Words
    windows: int
    rows: int
    retrainings: dict[str, int]
    log_losses: dict[str, float]


@dataclass
class _Lane:
    """The course of one policy through time."""

    code: str
    policy: Policy
    champion: Champion
    reports: list[Window] = field(default_factory=list)


@dataclass
class _ReplayRun:
    """Data shared by all policies: rows, windows, and models that several of them may need.

    A model that two policies train at the same time is the same, and so are its predictions; it is
    trained, stored and checked once.
    """

    spec: ProjectSpec
    store: Settings
    stream: Stream
    recipe: Recipe
    spans: list[Span]
    champions: dict[int, Champion] = field(default_factory=dict)
    losses: dict[tuple[int, int], Floats] = field(default_factory=dict)
    figures: dict[tuple[int, int], dict[str, float]] = field(default_factory=dict)
    reports: dict[tuple[int, int], Report] = field(default_factory=dict)

    def trained(self, place: int, at: float, first: int) -> Champion:
        """Return the champion that is trained after window `place`, -1 before the first."""
        if place not in self.champions:
            self.champions[place] = replay.train(
                self.stream,
                self.recipe,
                self.stream.arrivals <= at,
                version=len(self.champions) + 1,
                at=at,
                first=first,
            )
        return self.champions[place]

    def score(self, champion: Champion, place: int) -> None:
        """Score the rows of a window with a champion, into the log."""
        key = champion.version, place
        if key in self.losses:
            return
        span = self.spans[place]
        rows = slice(span.first, span.last)
        features = self.stream.features.iloc[rows]
        began = time.perf_counter()
        probabilities = replay.forecast(champion, self.stream.codes.iloc[rows])
        latency = 1000 * (time.perf_counter() - began)
        replay_store.predict(
            self.store,
            model=self.spec.model,
            version=champion.version,
            window=place,
            at=span.end,
            latency_ms=latency,
            keys=self.stream.keys[rows],
            features=features,
            probabilities=probabilities.tolist(),
            predicted=(probabilities >= self.recipe.threshold).astype(int).tolist(),
        )
        labels = self.stream.labels[rows]
        self.losses[key] = metrics.log_losses(labels, probabilities)
        self.figures[key] = replay.truth(labels, probabilities, self.recipe.threshold)

    def arrive(self, since: float, until: float) -> None:
        """Add the labels that became known in a period to the log."""
        new = np.flatnonzero((self.stream.arrivals > since) & (self.stream.arrivals <= until))
        new = new[new >= self.spans[0].first]
        replay_store.label(
            self.store,
            [self.stream.keys[row] for row in new],
            self.stream.labels[new].tolist(),
            self.stream.arrivals[new].tolist(),
        )

    def report(self, champion: Champion, place: int, since: float) -> Report:
        """Check a window with the log's contents at its end."""
        key = champion.version, place
        if key not in self.reports:
            span, arrivals = self.spans[place], self.stream.arrivals
            parts = []
            for other in range(place, -1, -1):
                earlier = self.spans[other]
                if earlier.first < champion.first:
                    break
                when = arrivals[earlier.first : earlier.last]
                new = (when > since) & (when <= span.end)
                if new.any() or other == place:
                    answers = replay_store.read(self.store, version=champion.version, window=other)
                    parts.append(answers.assign(is_new=new))
            answers = parts[0]  # of the window itself
            current = self.stream.features.iloc[span.first : span.last].reset_index(drop=True)
            old = pd.concat(parts)
            self.reports[key] = replay.judge(
                champion,
                self.recipe,
                current.assign(**{PROBABILITY: answers[PROBABILITY]}),
                old[old["is_new"] & old[LABEL].notna()],
                name=Message("window {name}", name=span.name),
            )
        return self.reports[key]


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Replay labelled rows in the order of time, once per policy: run `Simulacao`.

    The user's own predictions log, models and champion are not touched.

    Raises
    ------
    NotReadyError
        Before the first acquisition.
    InputError
        When the requested rows, windows or drift do not exist.
    """
    spec = project.of(settings)
    with tracking.step_run(settings, "replay", options, progress) as run_id:
        progress.update(0.01, Message("Reading the rows"))
        archive = snapshots.Archive.of(settings)
        snapshot = archive.require_current()
        raw = archive.validated(snapshot, spec)
        features = options.features or replay_rows.champions_features(settings, spec)
        rows, spans = replay_rows.rows_and_windows(raw, spec, options, features)
        moments = row_stream.moments_of(rows[str(spec.time)])
        changed = None
        inputs = list(spec.inputs_of(features))
        inputs_and_target = rows[[*inputs, spec.target]]
        if options.injection is not None:
            drifts.check(options.injection, inputs_and_target, moments, spans[0].first, spec.target)
            injected = drifts.inject(
                inputs_and_target, moments, spec.target, options.injection, seed=options.seed
            )
            inputs_and_target, changed = injected.frame, injected.changed
        stream, recipe = replay_rows.stream_and_recipe(
            spec, options, features, rows, inputs_and_target, moments
        )
        lanes_of = _policies(options)
        replay_store.check_size(len(rows) - spans[0].first, len(lanes_of))
        with replay_store.opened(settings, run_id) as store:
            course = _ReplayRun(spec, store, stream, recipe, spans)
            windows, decisions = _go(settings, run_id, course, lanes_of, options, progress)
            progress.update(0.95, Message("Comparing the results"))
            record, answer, summary = _record(
                course, options, lanes_of, windows, decisions, changed
            )
            source = f"data/01_raw/{snapshot.id}"
            tracking.log(
                settings,
                run_id,
                Record(
                    **record,
                    is_sample=snapshot.is_sample,
                    datasets=(Dataset("replayed", rows, source, "replay", spec.target),),
                ),
            )
        progress.update(1.0, answer)
    named = summary.set_index("policy")
    return Result(
        run_id,
        answer,
        len(spans),
        len(rows) - spans[0].first,
        {str(name): int(value) for name, value in named["retrainings"].items()},
        {str(name): float(value) for name, value in named["log_loss"].items()},
    )


def _policies(options: Options) -> dict[str, Policy]:
    """Return the policies by their codes; doing nothing comes first, requested or not."""
    others = [policy for policy in options.policies if policy.strategy != "none"]
    return {policy_comparison.policy_code(policy): policy for policy in (Policy(), *others)}


def _go(
    settings: Settings,
    run_id: str,
    course: _ReplayRun,
    policies: dict[str, Policy],
    options: Options,
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Replay the windows for all policies in parallel; return windows and decisions."""
    spans, stream = course.spans, course.stream
    start = float(stream.moments[spans[0].first - 1])
    progress.update(
        0.03,
        Message("{name}: {value}", name=steps.named("train").title, value=row_stream.day(start)),
    )
    first = course.trained(-1, start, spans[0].first)
    lanes = [_Lane(code, policy, first) for code, policy in policies.items()]
    windows: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    began, reported_at, since = time.monotonic(), 0.0, start
    for place, span in enumerate(spans):
        for lane in lanes:
            course.score(lane.champion, place)
        course.arrive(since, span.end)
        for lane in lanes:
            window, decision = _step(course, lane, place, since)
            windows.append(window)
            decisions.append(decision)
        since = span.end
        if time.monotonic() - reported_at > REPORT_SECONDS:
            replay_store.tell(settings, run_id, windows)
            reported_at = time.monotonic()
        done = (place + 1) / len(spans)
        progress.update(0.05 + 0.9 * done, counted(row_stream.day(span.end), place + 1, len(spans)))
        if options.speed:
            wait = began + (place + 1) / options.speed - time.monotonic()
            if wait > 0:
                replay_store.tell(settings, run_id, windows)
                reported_at = time.monotonic()
                time.sleep(wait)
    return pd.DataFrame(windows), pd.DataFrame(decisions)


def _step(
    course: _ReplayRun, lane: _Lane, place: int, since: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check a window, decide, and act on the decision."""
    span, champion = course.spans[place], lane.champion
    report = course.report(champion, place, since)
    lane.reports.append(replay.as_window(report, f"{champion.version}-{place}", span))
    decided = decide(lane.policy, lane.reports, trained_at=champion.trained_at, now=span.end)
    is_last = place + 1 == len(course.spans)
    is_new = decided.code == "retrain" and not is_last
    seconds, rows = 0.0, 0
    if is_new:
        lane.champion = course.trained(place, span.end, span.last)
        lane.reports = []
        seconds, rows = lane.champion.seconds, lane.champion.rows
    key = champion.version, place
    window = {
        "policy": lane.code,
        "window": span.name,
        "begin": span.begin,
        "end": span.end,
        "rows": span.last - span.first,
        "labels": report.labels,
        "version": champion.version,
        **course.figures[key],
        "verdict": report.conclusion.code,
        "alerts": ",".join(report.codes("alert", "performance")),
        "warnings": ",".join(report.codes("warning", "performance")),
        "input_alerts": ",".join(report.codes("alert", "input", "output", "support")),
        "is_alarm": report.is_alarm,
        "is_input_alert": bool(report.codes("alert", "input", "output", "support")),
        "decision": decided.code,
        "is_retrained": is_new,
        "seconds": seconds,
    }
    decision = {
        "policy": lane.code,
        "window": span.name,
        "at": span.end,
        "decision": decided.code,
        "title": decided.title,
        "reasons": sentences(*decided.reasons),
        "todo": decided.todo,
        "is_retrained": is_new,
        "version": lane.champion.version,
        "rows_trained": rows,
        "is_too_late": decided.code == "retrain" and is_last,
    }
    return window, decision


def _losses(course: _ReplayRun, windows: pd.DataFrame) -> Iterator[tuple[str, Floats]]:
    for code, part in windows.groupby("policy", sort=False):
        own = [course.losses[version, place] for place, version in enumerate(part["version"])]
        yield str(code), np.concatenate(own)


def _record(
    course: _ReplayRun,
    options: Options,
    policies: dict[str, Policy],
    windows: pd.DataFrame,
    decisions: pd.DataFrame,
    changed: Any,
) -> tuple[dict[str, Any], Words, pd.DataFrame]:
    """Return the contents of the run, the conclusion, and the table of policies."""
    first = course.spans[0].first
    baseline = next(iter(policies))
    begin = drifts.seconds(options.injection.begin) if options.injection else None
    moments = course.stream.moments[first:]
    summary = policy_comparison.compare(
        windows,
        dict(_losses(course, windows)),
        moments,
        baseline=baseline,
        drift_begin=begin,
        drift_column=options.injection.column if options.injection else None,
    )
    answer = replay_answer.answer(summary, baseline=baseline)
    initial = course.champions[-1]
    learned = next(iter(initial.learned.values()), None)
    record = {
        "params": {
            "features_used": ",".join(course.recipe.features),
            "candidate_title": str(kinds.title(options.candidate)),
            "drift": str(options.injection.text) if options.injection else "none",
            "from": row_stream.day(moments[0]),
            "until": row_stream.day(moments[-1]),
        },
        "metrics": {
            "rows_replayed": len(moments),
            "rows_first_training": initial.rows,
            "windows": len(course.spans),
            "models_trained": len(course.champions),
            "log_loss_reference": initial.figures["log_loss"],
            "rows_changed": int(changed.sum()) if changed is not None else 0,
            **({"false_alarms_reference": learned.false_alarms} if learned else {}),
            **_metrics(summary, policies),
        },
        "tags": ReplayRun(answer=answer, drift_begin=begin).write(),
        "tables": {"windows": windows, "policies": summary, "decisions": decisions},
        "figures": {
            "log_loss": replay_charts.log_loss(windows, drift_begin=begin).to_dict(),
            "gain": replay_charts.gain(windows, baseline=baseline, drift_begin=begin).to_dict(),
        },
    }
    return record, answer, summary


def _metrics(summary: pd.DataFrame, policies: dict[str, Policy]) -> dict[str, float]:
    """Return the metrics of each policy, by strategy and, if repeated, a number."""
    figures: dict[str, float] = {}
    counts: dict[str, int] = {}
    for row in summary.to_dict("records"):
        strategy = policies[row["policy"]].strategy
        counts[strategy] = counts.get(strategy, 0) + 1
        name = strategy if counts[strategy] == 1 else f"{strategy}_{counts[strategy]}"
        for figure in (
            "log_loss",
            "gain",
            "retrainings",
            "alarms",
            "input_alerts",
            "detection_days",
            "false_alarms",
        ):
            figures[f"{figure}_{name}"] = float(row[figure])
    return figures
