"""monitor: compare predictions with the reference, and judge whether the model still fits."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from core.data.snapshots import Archive
from core.monitoring import evidently_report, report, windows
from core.monitoring.monitor_inputs import Candidates, Sources, Training
from core.monitoring.monitor_outputs import Outlets
from core.monitoring.records import ReportRun
from core.monitoring.report import Report, Sides
from core.monitoring.windows import MIN_ROWS as MIN_ROWS
from core.monitoring.windows import Window
from core.platform import config, model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.messages import Message, Words, plural, sentences, to_data
from core.platform.own_columns import PROBABILITY, ROW_KEY, WEIGHT
from core.platform.project import ProjectSpec, Rows
from core.platform.run_record import SILENT, Dataset, Progress, Record
from core.platform.runs import ModelVersion
from core.platform.tracking import OpenRun
from core.stats import checks, disagreement
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts
from core.stats.check import Check, Conclusion, Limit

# rows per side that candidates predict
ASKED_ROWS = 5_000


class Limits(config.Options):
    """User-defined limits of one check, in the check's own unit."""

    warning_low: float | None = Field(None, allow_inf_nan=False)
    warning_high: float | None = Field(None, allow_inf_nan=False)
    alert_low: float | None = Field(None, allow_inf_nan=False)
    alert_high: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _warns_before_it_alarms(self) -> Limits:
        for warning, alert, sign in (
            (self.warning_low, self.alert_low, -1),
            (self.warning_high, self.alert_high, 1),
        ):
            if warning is not None and alert is not None and sign * warning > sign * alert:
                low, high = sorted((warning, alert))
                names = ("warning", "alert") if sign < 0 else ("alert", "warning")
                raise ValueError(
                    Message(
                        "{low} must not be above {high}",
                        low=f"`{names[1]} = {high:g}`",
                        high=f"`{names[0]} = {low:g}`",
                    )
                )
        return self


class Options(config.Options):
    """Which predictions to check, and the limits for alarms.

    Parameters
    ----------
    window : {"scoring", "log", "test"}
        All rows of a scoring; a window of the predictions log; or the test set of a version
        against its training set with out-of-fold predictions: a trial of the checks themselves.
    scoring_run : str, optional
        Run id of a scoring; by default the newest with at least 100 rows.
    since, until : str, optional
        Start and end in the log, ISO 8601, UTC without a zone; `until` is exclusive.
    time_of : {"scoring", "row"}
        Whether these are times of scoring, or of the project's column of time.
    last : int, optional
        Number of newest rows of the log.
    where : dict of str to tuple of str
        Selected values per column, e.g. {"season": ("2004-05",)}.
    source : str, optional
        Caller, as recorded in the log.
    version : str, optional
        Alias or number of the version that made the predictions; the champion by default.
    limits : dict of str to Limits
        By code of a check; they replace the learned ones.
    false_alarms : float
        Share of windows like the reference that may raise an alert, 0.001 to 0.2.
    scheduled : str, optional
        Name of the schedule that runs it.
    """

    window: Literal["scoring", "log", "test"] = "scoring"
    scoring_run: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    since: str | None = Field(None, min_length=4, max_length=40)
    until: str | None = Field(None, min_length=4, max_length=40)
    time_of: Literal["scoring", "row"] = "scoring"
    last: int | None = Field(None, ge=MIN_ROWS, le=1_000_000)
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    source: str | None = Field(None, min_length=1, max_length=40)
    version: str | None = Field(None, pattern=r"^([a-z][a-z0-9_-]{0,39}|[1-9][0-9]{0,8})$")
    limits: dict[str, Limits] = Field(default_factory=dict)
    false_alarms: float = Field(0.01, ge=0.001, le=0.2)
    scheduled: str | None = Field(None, min_length=1, max_length=80)

    @model_validator(mode="after")
    def _suits_the_window(self) -> Options:
        of_log = [self.since, self.until, self.last, self.source, self.where or None]
        if self.window != "log" and any(choice is not None for choice in of_log):
            raise config.needs("since, until, last, source, where", "window = log")
        if self.window != "scoring" and self.scoring_run is not None:
            raise config.needs("scoring_run", "window = scoring")
        if self.window == "scoring" and self.version is not None:
            raise config.needs("version", "window = log")
        if any(not values for values in self.where.values()):
            raise ValueError(Message("no value is chosen"))
        return self


@dataclass(frozen=True)
class Result:
    """The conclusion of the report."""

    run_id: str
    verdict: str
    title: Words
    alerts: int
    warnings: int


@dataclass(frozen=True)
class _ReportContext:
    """A report and its subject."""

    report: Report
    window: Window
    conclusion: Conclusion
    is_sample: bool
    trained_share: float
    weights: Words = ""


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Compare predictions with the test set of the model that made them: run `Monitoramento`.

    The reference is the copy of the test set in the model's own training run, so that a later
    preparation does not change it. After the run, alerts are raised and sent, and the retraining
    decision is requested, if a retraining policy is on.

    Raises
    ------
    NotReadyError
        When nothing (or too little) was scored yet, or data for a report no longer exists.
    InputError
        For unknown columns or invalid moments.
    """
    spec = project.of(settings)
    outlets = Outlets(settings)
    with tracking.open_step(settings, "monitor", options, progress) as run:
        sources = Sources(settings, spec, run, Archive.of(settings))
        progress.update(0.05, Message("Reading the rows"))
        window = _window(sources, options)
        if window.source == "production" and spec.rows.is_derived:
            how = Message("{first}, {second}", first=window.text, second=spec.rows.how)
            window = replace(window, text=how)
        version = window.version
        reference = (
            sources.forecast_in_folds(version)
            if options.window == "test"
            else sources.tested_rows(version)
        )
        sides = sources.sides(reference, window)
        count = Message(
            "{current:,} current and {reference:,} reference rows",
            current=len(sides.current),
            reference=len(sides.reference),
        )
        known = _known(sources, version, options)
        compared = report.build(
            sides,
            chosen={
                code: Limit(**dict(limit), source="set") for code, limit in options.limits.items()
            },
            false_alarms=options.false_alarms,
            disagreement=lambda held: _disagreement(
                sources.candidates(version), reference, window, held
            ),
            by=sources.slices(reference, window),
            trained_on=known.features if known else None,
            positive=project.words(spec.positive),
            progress=lambda share, text: progress.update(
                0.1 + 0.65 * share, Message("{name}: {value}", name=text, value=count)
            ),
        )
        share = known.share_of(window.rows[ROW_KEY], sides.current) if known else 0.0
        context = _ReportContext(
            compared,
            window,
            checks.conclude(
                compared.checks,
                *_names(spec.rows, window, options),
                labels=len(sides.labelled()),
                unlabelled=len(sides.current) - len(sides.labelled()),
                positive=project.words(spec.positive),
                is_other_kind=_is_other_kind(spec.rows, window, known),
                trained_share=share,
            ),
            window.is_sample,
            share,
            _about_weights(spec, sides),
        )
        progress.update(0.8, Message("Writing the results"))
        document = _document(run.run_id, context, sides, options)
        run.log(_record(context, sides, options, document))
        run.log(Record(files=(outlets.save_report(run.run_id, document),)))
        _evidently(outlets, run, sides, progress)
    # reports of the past (by a value of the rows) and of the test set raise no alerts
    if options.window != "test" and not options.where:
        progress.update(0.95, Message("Writing the results"))
        outlets.pass_on(
            run.run_id, compared.checks, context.conclusion, version, is_sample=context.is_sample
        )
    progress.update(1.0, context.conclusion.title)
    verdicts = [check.verdict for check in compared.checks]
    return Result(
        run.run_id,
        context.conclusion.code,
        context.conclusion.title,
        verdicts.count("alert"),
        verdicts.count("warning"),
    )


def _window(sources: Sources, options: Options) -> Window:
    if options.window == "scoring":
        return sources.scoring(options.scoring_run)
    version = sources.version(options.version or model_store.CHAMPION)
    if options.window == "test":
        return sources.test_set(version)
    return sources.log(
        version,
        since=windows.seconds(options.since, "since") if options.since else None,
        until=windows.seconds(options.until, "until") if options.until else None,
        last=options.last,
        source=options.source,
        where=options.where,
        by_row=options.time_of == "row",
    )


def _known(sources: Sources, version: ModelVersion, options: Options) -> Training | None:
    """Return the training rows, None if they are no longer available."""
    if options.window == "test":
        return None
    try:
        return sources.training(version)
    except (NotReadyError, StoreError, InputError, KeyError):
        return None


def _is_other_kind(names: Rows, window: Window, known: Training | None) -> bool:
    """Return whether the rows are of a kind that the version was not trained on, as far as known.

    A kind is a value of a column or a file: later rows are no other kind.
    """
    is_kind = window.source == "production" and names.by in ("value", "file")
    return is_kind and (known is None or names.production not in known.kinds)


def _disagreement(
    candidates: Candidates, reference: pd.DataFrame, window: Window, limits: Mapping[str, Limit]
) -> Check:
    """Score both sides with the candidates of the training, and check their disagreement."""
    loaded, lost = candidates.loaded, candidates.lost
    disagreements: list[disagreement.Disagreement | None] = []
    for rows in (reference, window.rows):
        asked = rows.iloc[:: max(1, -(-len(rows) // ASKED_ROWS))].reset_index(drop=True)
        if len(loaded) < 2:
            disagreements.append(None)
            continue
        answered = np.logical_and.reduce([model.answers(asked) for model in loaded])
        asked = asked[answered].reset_index(drop=True)
        if asked.empty:
            disagreements.append(None)
            continue
        forecasts = np.column_stack([model.predict(asked) for model in loaded])
        disagreements.append(disagreement.measure(forecasts, [model.threshold for model in loaded]))
    check = disagreement.check(disagreements[0], disagreements[1], limits)
    if lost:
        note = plural(
            "{count} candidate could not be loaded.",
            "{count} candidates could not be loaded.",
            lost,
        )
        check = replace(check, text=sentences(check.text, note))
    return check


def _names(names: Rows, window: Window, options: Options) -> tuple[Words, Words]:
    """Return what the current rows and those of the training are called."""
    name: Words = Message("scored rows")
    if options.window == "test":
        name = Message("test set")
    elif options.where:
        values = [windows.listed(values) for values in options.where.values()]
        name = Message("rows of {values}", values=values)
    elif window.source == "production":
        name = names.current_rows
    return name, window.version.about.rows_name or names.reference_rows


def _about_weights(spec: ProjectSpec, sides: Sides) -> Words:
    """Return what is by sampling weight; empty for a project without weights."""
    if spec.weights is None:
        return ""
    if sides.weights is not None:
        return Message(
            "Rows count by the sampling weight '{column}', except in new values, values out of "
            "range, estimated performance, and disagreement among candidates.",
            column=spec.weights,
        )
    if sides.is_by_weight:
        return Message(
            "Performance counts rows by the sampling weight '{column}'; all other checks count "
            "each row once.",
            column=spec.weights,
        )
    return Message(
        "Each row counts once: the sampling weight '{column}' is not known for all labelled rows.",
        column=spec.weights,
    )


def _document(
    run_id: str, context: _ReportContext, sides: Sides, options: Options
) -> dict[str, Any]:
    window, learned = context.window, context.report.learned
    document = {
        "run_id": run_id,
        "scoring_run": window.scoring_run or "",
        "window": window.text,
        "window_begin": window.begin,
        "window_end": window.end,
        "source": window.source,
        "scheduled": options.scheduled or "",
        "model": {
            "name": window.version.name,
            "version": window.version.version,
            "run_id": window.version.run_id,
        },
        "rows": {
            "reference": len(sides.reference),
            "current": len(sides.current),
            "labelled": len(sides.labelled()),
        },
        "sample": context.is_sample,
        **({"weights": context.weights} if context.weights else {}),
        "conclusion": _as_mapping(context.conclusion),
        "false_alarms": {
            "target": learned.target,
            "rate": learned.false_alarms,
            "warnings": learned.warnings,
        },
        "labels_needed": learned.labels_needed.get("skill"),
        "labels_needed_by_check": dict(learned.labels_needed),
        "checks": [_as_mapping(check) for check in context.report.checks],
    }
    kept: dict[str, Any] = to_data(document)
    return kept


def _as_mapping(record: Check | Conclusion) -> dict[str, Any]:
    # not `asdict`, which would take messages apart
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _record(
    context: _ReportContext, sides: Sides, options: Options, document: dict[str, Any]
) -> Record:
    compared, window, conclusion = context.report, context.window, context.conclusion
    version = window.version
    codes = {
        verdict: [check.code for check in compared.checks if check.verdict == verdict]
        for verdict in ("alert", "warning")
    }
    tags = ReportRun(
        verdict=conclusion.code,
        verdict_title=conclusion.title,
        verdict_text=conclusion.text,
        verdict_todo=conclusion.todo,
        verdict_action=conclusion.action,
        source=window.source,
        scoring_run=window.scoring_run or "",
        model_run=version.run_id,
        model=version.name,
        version=version.version,
        window=window.text,
        window_begin=window.begin,
        window_end=window.end,
        alerts=codes["alert"],
        warnings=codes["warning"],
        labels=len(sides.labelled()),
        scheduled=options.scheduled or "",
        **({"weights": context.weights} if context.weights else {}),
    )
    values = {
        check.code.replace(".", "_"): float(check.value)
        for check in compared.checks
        if check.value is not None
        and not check.code.startswith("slice.")
        # already among the figures of both sides
        and check.code not in compared.on_reference
    }
    return Record(
        params={
            "scored_by": window.scoring_run or "",
            "model": version.name,
            "model_version": version.version,
        },
        metrics={
            "rows_reference": len(sides.reference),
            "rows_current": len(sides.current),
            "rows_labelled": len(sides.labelled()),
            "rows_trained_on": round(context.trained_share * len(sides.current)),
            "checks_alert": len(codes["alert"]),
            "checks_warning": len(codes["warning"]),
            "false_alarms": compared.learned.false_alarms,
            "false_alarms_target": compared.learned.target,
            **{f"{key}_reference": value for key, value in compared.on_reference.items()},
            **{f"{key}_current": value for key, value in compared.on_current.items()},
            **values,
        },
        tags=tags.write(),
        is_sample=context.is_sample,
        tables=compared.tables,
        figures=_figures(compared, sides),
        documents={"report": document},
        datasets=(
            Dataset("reference", sides.reference, f"run-{version.run_id}", "reference"),
            Dataset("current", sides.current, f"run-{window.scoring_run or 'log'}", "current"),
        ),
    )


def _figures(compared: Report, sides: Sides) -> dict[str, dict[str, Any]]:
    weight = None if sides.weights is None else WEIGHT
    both = [
        side[[PROBABILITY, *([] if weight is None else [weight])]].assign(set=name)
        for name, side in (("reference", sides.reference), ("current", sides.current))
    ]
    curves = compared.tables["reliability"].rename(columns={"set": "model"})
    return {
        "psi": drift_charts.psi_bars(compared.tables["drift"]).to_dict(),
        "probability": drift_charts.probability_density(
            pd.concat(both, ignore_index=True), threshold=sides.threshold, weight=weight
        ).to_dict(),
        "reliability": model_charts.calibration_curve(curves).to_dict(),
    }


def _evidently(outlets: Outlets, run: OpenRun, sides: Sides, progress: Progress) -> None:
    """Store evidently's report of the same rows with ours, if that extra is installed."""
    if not evidently_report.available():
        return
    progress.update(0.9, Message("Writing the results"))
    columns = [*sides.features, PROBABILITY]
    # the extra must not make the report fail
    with suppress(InputError, NotReadyError):
        text = evidently_report.html(sides.reference, sides.current, columns)
        run.log(Record(files=(outlets.save_page(run.run_id, "evidently", text),)))
