"""score: have rows answered by a registered version, keep what it says, and judge it by labels."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from pydantic import Field, model_validator

from core import config, project, schema
from core.adapters import (
    answering,
    batches,
    client,
    labels,
    local_cluster,
    output_parts,
    predictions,
    scorer,
    server,
    snapshots,
    storage,
    tables,
    tracking,
)
from core.adapters.batches import Batch, Part, Source
from core.adapters.output_parts import Place
from core.adapters.scorer import Done, Work
from core.adapters.storage import Upload
from core.config import Settings
from core.errors import InputError, NotReadyError
from core.logic import drift_charts, fit, metrics
from core.project import Column, ProjectSpec
from core.record import SILENT, Dataset, Progress, Record

# a result of so many rows is one file, and its rows stand in the log
KEPT_ROWS = 200_000
# labelled rows that intervals and ranks are taken from
JUDGED_ROWS = 100_000
# measured in docs/decisions/0021
BATCH_ROWS = {"endpoint": client.BATCH_ROWS, "in_process": 131_072, "dask": 131_072}
STAGING, SCORING = tracking.TAG + "staging", tracking.TAG + "scoring"
LOGGED_AS = {"row": "page", "upload": "file", "path": "file", "production": "production"}


class Options(config.Options):
    """Which rows to score, by what, and what to keep of it.

    Parameters
    ----------
    source : {"production", "upload", "row", "path"}
        The project's production rows, an uploaded file, one row's values, or a place on disk or
        on the network.
    port : int, optional
        Of the served model; without it the live endpoint or, where none is, the server that was
        started last. In process and with Dask it says which version is meant; where nothing is
        served then, it is the champion.
    upload : Upload, optional
        What `storage.stage_upload` returned; for source `upload`.
    path : str, optional
        For source `path`: a parquet or CSV file, a folder of such files, or an address that
        fsspec knows (`s3://bucket/folder`).
    row : dict of str to (float, str or None), optional
        A value per input of the model; for source `row`.
    mapping : dict of str to str
        The model's column (or the id, or the target) -> the column of the file that holds it;
        columns not named here are taken by their own name or alias.
    way : {"endpoint", "in_process", "dask"}
        Through the served model's /invocations, by the same function in the job's own process, or
        on the workers of a Dask cluster.
    keep : {"rows", "file"}, optional
        Whether each row goes into the predictions log, or the result is a file that the log knows
        of; without it rows up to 200,000 rows, else the file. An endpoint logs every row.
    columns : {"all", "scores"}, optional
        What the result holds beside id, row, key, probability, predicted and label: all inputs, or
        nothing; without it all, but for `path` the scores.
    batch_rows : int, optional
        Rows scored at a time, 1 to 1,000,000; without it what is fastest for the way.
    destination : str, optional
        For source `path`: a folder or address for the result, which must not exist or be empty;
        without it a folder of the run's name in data/07_model_output.
    resume : str, optional
        Run id of an interrupted scoring of a `path`, which goes on after its last finished part,
        with the options that it began with; the others are not looked at.
    """

    source: Literal["production", "upload", "row", "path"] = "production"
    port: int | None = Field(None, ge=1024, le=65535)
    upload: Upload | None = None
    path: str | None = Field(None, min_length=1, max_length=1000)
    row: dict[str, float | str | None] | None = None
    mapping: dict[str, str] = Field(default_factory=dict)
    way: Literal["endpoint", "in_process", "dask"] = "endpoint"
    keep: Literal["rows", "file"] | None = None
    columns: Literal["all", "scores"] | None = None
    batch_rows: int | None = Field(None, ge=1, le=1_000_000)
    destination: str | None = Field(None, min_length=1, max_length=1000)
    resume: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")

    @model_validator(mode="after")
    def _has_its_source(self) -> Options:
        if any(one and batches.holds_credentials(one) for one in (self.path, self.destination)):
            # nor does any run, job or log see it
            raise ValueError(
                "an address must not hold a password or key: credentials belong to the environment"
            )
        if self.resume is not None:
            return self
        if self.source == "upload" and self.upload is None:
            raise ValueError("no file was uploaded")
        if self.source == "row" and self.row is None:
            raise ValueError("no values were given")
        if self.source == "path" and self.path is None:
            raise ValueError("no path was given")
        if self.source != "path" and self.destination is not None:
            raise ValueError("only the result of a path has a destination")
        if self.way == "dask" and self.source != "path":
            raise ValueError("only a path can be scored on a Dask cluster")
        if self.way == "dask" and self.keep == "rows":
            raise ValueError("what a Dask cluster scores is kept as a file, not row by row")
        if self.way == "endpoint" and self.keep == "file":
            raise ValueError("what an endpoint answers is logged row by row: score in process")
        return self


@dataclass(frozen=True)
class Result:
    """What was scored.

    Parameters
    ----------
    rows, rows_labelled, rows_skipped, rows_rejected : int
        Scored; scored with a label; left out because an input is missing; left out because a value
        cannot be used (these are listed in `tables/rejected.parquet`).
    probability : float
        Mean over the rows.
    log_loss, f1 : float or None
        On the labelled rows; None where there are none.
    scoring : str
        Id of the scoring: the run id of its first attempt.
    output : str
        Where the result lies: a path or an address.
    fit : str or None
        Code of the answer whether the model fits these rows; None without labels.
    rows_per_second : float
        Of the scoring itself, reading and writing included.
    """

    run_id: str
    rows: int
    rows_labelled: int
    rows_skipped: int
    probability: float
    log_loss: float | None
    f1: float | None
    rows_rejected: int = 0
    scoring: str = ""
    output: str = ""
    fit: str | None = None
    rows_per_second: float = 0.0


@dataclass(frozen=True)
class _Rows:
    """What is to be scored: rows in memory, or a source of parts.

    Parameters
    ----------
    columns : mapping of str to Column
        The model's inputs and, where there are labels, the target.
    names : mapping of str to str
        Column -> what the source calls it.
    target, key : str or None
    digest : str
        By which the source is known again.
    checked : Validated or None
        What validation said of rows in memory.
    """

    columns: Mapping[str, Column]
    names: Mapping[str, str]
    target: str | None
    key: str | None
    parts: Sequence[Part]
    count: int
    digest: str = ""
    is_sample: bool = False
    source: Source | None = None
    frame: pd.DataFrame | None = None
    keys: Any = None
    checked: schema.Validated | None = None

    def batches(self, size: int) -> Iterator[Batch] | None:
        """Return the rows in memory a batch at a time, None where the source is read."""
        if self.frame is None:
            return None
        frame, keys = self.frame, self.keys
        return (
            Batch(
                first, frame.iloc[first : first + size].reset_index(drop=True),
                None if keys is None else keys.slice(first, size),
            )
            for first in range(0, len(frame), size)
        )  # fmt: skip


@dataclass(frozen=True)
class _Judged:
    """The figures of the labelled rows, and whether the model fits them; nothing without labels."""

    figures: dict[str, float]
    answer: dict[str, Any] | None


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Score rows, as the run `PipelineAplicacao`.

    Whichever way, the same rows get the same answers: those of the served model's own code. Rows
    that cannot be scored are listed and left out.

    Raises
    ------
    NotReadyError
        When no model is served or registered, no cluster runs, or there are no raw rows yet.
    InputError
        When the rows cannot be used, the place of the result is taken, or an interrupted scoring
        cannot go on because its source or its model has changed.
    ServerError
        When the server goes away or refuses the rows.
    StoreError
        When the result or the log cannot be written. Finished parts of a `path` are kept.
    """
    spec = project.load(settings.project)
    with tracking.step_run(settings, "score", options, progress) as run_id:
        scoring, place = run_id, None
        if options.resume:
            options, scoring, place = _interrupted(settings, options.resume)
        with _alone(settings, scoring):
            return _Scoring(settings, spec, options, progress, run_id, scoring).run(place)


class _Scoring:
    """One attempt at a scoring."""

    def __init__(
        self, settings: Settings, spec: ProjectSpec, options: Options, progress: Progress,
        run_id: str, scoring: str,
    ) -> None:  # fmt: skip
        self.settings, self.spec, self.options, self.progress = settings, spec, options, progress
        self.run_id, self.scoring = run_id, scoring
        self.serving = _server(settings, options)
        named = (spec.model, tracking.CHAMPION)
        if self.serving is not None:
            named = (self.serving.model, self.serving.version)
        self.version = tracking.require_version(settings, *named)
        self.alias = self.serving.alias if self.serving else tracking.CHAMPION
        self.begun = time.monotonic()
        self.rows_done = self.rows_before = 0

    def run(self, place: Place | None) -> Result:
        """Score what is not scored yet, judge it and keep it."""
        options, progress = self.options, self.progress
        progress.update(0.05, "Reading the rows")
        rows = _rows(self.settings, self.spec, options, self.version.inputs, self.run_id)
        is_sample = rows.is_sample or self.version.is_sample
        name = output_name(options.source, self.run_id, is_sample=is_sample)
        place = place or self._place(name)
        work = self._work(rows, place)
        try:
            before = self._begin(work, rows)
            self._introduce(place, is_sample=is_sample)
            small = rows.count <= KEPT_ROWS
            keeps_rows = options.way == "endpoint" or (
                options.way == "in_process" and (options.keep or ("file", "rows")[small]) == "rows"
            )
            total = scorer.total([*before.values(), *self._score(work, rows, before, keeps_rows)])
            if not total.rows:
                _tell_nothing_left(rows, total)
            rate = (rows.count - self.rows_before) / max(time.monotonic() - self.begun, 1e-9)
            progress.update(0.8, "Judging the answers")
            judged = self._judge(place, total)
            frame = place.frame() if total.rows <= KEPT_ROWS else None
            kept = place.address
            if frame is not None and not options.destination:
                kept = str(storage.folder(self.settings, storage.MODEL_OUTPUT) / f"{name}.parquet")
            progress.update(0.9, "Keeping the predictions")
            # the log first: where it fails, the parts are there to go on from
            self._log(place, total, None if keeps_rows else kept)
            self._keep(place, name, frame, kept)
        except BaseException:
            if options.source != "path":
                place.forget()
            raise
        self._record(name, frame, kept, total, judged, rate)
        progress.update(1.0, f"{total.rows:,} rows scored, {total.labelled:,} of them labelled")
        return Result(
            self.run_id, total.rows, total.labelled, total.skipped, total.probability / total.rows,
            judged.figures.get("log_loss"), judged.figures.get("f1"), total.rejected, self.scoring,
            kept, judged.answer["verdict"] if judged.answer else None, rate,
        )  # fmt: skip

    def _place(self, name: str) -> Place:
        if self.options.destination:
            return output_parts.place(self.options.destination, self.scoring)
        path = storage.folder(self.settings, storage.MODEL_OUTPUT) / name
        if self.options.source == "path":
            return output_parts.place(str(path), self.scoring)
        # nobody goes on from it: `storage.sweep` removes what a killed process leaves
        return Place(str(path), str(storage.beside(path)))

    def _work(self, rows: _Rows, place: Place) -> Work:
        options, version = self.options, self.version
        # what a large source holds is not written once more
        columns = options.columns or ("all" if rows.source is None else "scores")
        return Work(
            scoring=self.scoring, source=rows.source, columns=rows.columns, names=rows.names,
            inputs=tuple(version.inputs), target=rows.target, key=rows.key,
            features=version.features, formulas=version.formulas, is_complete=version.is_complete,
            place=place, keeps_inputs=columns == "all",
            batch_rows=options.batch_rows or BATCH_ROWS[options.way],
        )  # fmt: skip

    def _begin(self, work: Work, rows: _Rows) -> dict[int, Done]:
        """Return the parts that are finished; refuse to go on with another source or model."""
        manifest = {
            "scoring": self.scoring,
            "model": self.version.name,
            "version": self.version.version,
            "model_digest": self.version.tags.get("courtside.model_sha256", ""),
            "source": rows.digest,
            "columns": dict(work.names),
            "keeps_inputs": work.keeps_inputs,
            "batch_rows": work.batch_rows,
            "parts": len(rows.parts),
        }
        before = work.place.manifest()
        if before is None:
            work.place.begin(manifest)
            return {}
        changed = [name for name in manifest if before.get(name) != manifest[name]]
        if changed:
            what = "source" if "source" in changed else "model"
            raise InputError(
                f"The {what} has changed since this scoring was interrupted, so it cannot go on. "
                "Score anew."
            )
        found = {number: Done(**note) for number, note in work.place.notes().items()}
        done = sum(part.rows for part in rows.parts if part.number in found)
        self.rows_before = self.rows_done = done
        return found

    def _introduce(self, place: Place, *, is_sample: bool) -> None:
        """Say in the run what is scored and where the parts grow, before any is there."""
        tag = tracking.TAG
        tracking.log(
            self.settings, self.run_id,
            Record(
                params={
                    "model": self.version.name,
                    "version": self.version.version,
                    "served_port": self.serving.port if self.serving else "",
                },
                tags={
                    SCORING: self.scoring,
                    STAGING: json.dumps([place.address, place.staging]),
                    tag + "source": self.options.source,
                    tag + "model_run": self.version.run_id,
                    tag + "version": self.version.version,
                },
                is_sample=is_sample,
            ),
        )  # fmt: skip

    def _score(
        self, work: Work, rows: _Rows, before: Mapping[int, Done], keeps_rows: bool
    ) -> list[Done]:
        self.begun = time.monotonic()
        parts = [part for part in rows.parts if part.number not in before]
        self._tell(rows.count)

        def on_rows(count: int) -> None:
            self.rows_done += count
            self._tell(rows.count)

        if self.options.way == "dask":
            from core.adapters import cluster

            address = self.settings.dask or local_cluster.address(self.settings)
            which = scorer.load(self.settings, self.version)
            return cluster.score_all(address, work, parts, which, on_rows)
        answer = self._answerer(keeps_rows)
        in_flight = client.IN_FLIGHT if self.options.way == "endpoint" else 1

        return [
            scorer.score_part(work, part, answer, on_rows, rows.batches(work.batch_rows), in_flight)
            for part in parts
        ]

    def _tell(self, total: int) -> None:
        rate = (self.rows_done - self.rows_before) / max(time.monotonic() - self.begun, 1e-9)
        text = f"{self.rows_done:,} of {total:,} rows scored"
        if rate > 0:
            seconds = (total - self.rows_done) / rate
            left = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
            text += f", {rate:,.0f} rows/s, {left} left"
        self.progress.update(0.1 + 0.7 * self.rows_done / total, text)

    def _answerer(self, keeps_rows: bool) -> scorer.Answerer:
        settings, version = self.settings, self.version
        source = LOGGED_AS[self.options.source]
        which: scorer.Answerer
        if self.options.way == "endpoint":
            assert self.serving is not None  # or there is no endpoint to ask
            sends_key = self.spec.id not in version.inputs
            # all attempts at a scoring are one in the log
            which = answering.Endpoint(
                settings, self.serving, source, self.scoring, self.spec.kinds_of(version.inputs),
                version.is_complete, self.spec.id if sends_key else None, self._tell_wait,
            )  # fmt: skip
        else:
            which = scorer.load(settings, version)
        if not keeps_rows:
            return which
        return answering.Logged(
            settings, which, version.name, version.version, self.alias, source, self.scoring
        )

    def _tell_wait(self) -> None:
        text = f"{self.rows_done:,} rows scored; the server has fallen and is put up again"
        self.progress.update(0.1, text)

    def _log(self, place: Place, total: Done, path: str | None) -> None:
        """List the scoring in the log, with the labels that its rows came with."""
        source = LOGGED_AS[self.options.source]
        now = time.time()
        if path is None and total.labelled:
            for table in place.read(["prediction_id", "label"]):
                known = table.to_pandas().dropna(subset="label")
                reports = [
                    labels.Report(label=int(label), prediction_id=name, labelled_at=now)
                    for name, label in zip(known["prediction_id"], known["label"], strict=True)
                ]
                if reports:
                    labels.report(self.settings, reports, source=source)
        line = predictions.Scoring(
            run_id=self.scoring, source=source, model=self.version.name,
            version=self.version.version, scored_at=now, rows=total.rows, labels=total.labelled,
            path=path,
        )  # fmt: skip
        predictions.finish(self.settings, line)

    def _keep(self, place: Place, name: str, frame: pd.DataFrame | None, kept: str) -> None:
        if frame is not None:
            with output_parts.told(name):
                storage.save_output(self.settings, name, frame)
        if kept == place.address:
            place.finish()
        else:
            place.forget()

    def _judge(self, place: Place, total: Done) -> _Judged:
        threshold = self.version.threshold
        if not total.labelled:
            return _Judged({}, None)
        sums = fit.Sums()
        step = fit.every(total.labelled, JUDGED_ROWS)
        taken: list[tuple[Any, Any]] = []
        first = 0
        for table in place.read(["probability", "label"]):
            label, forecast = (table.column(name).to_numpy() for name in ("label", "probability"))
            known = ~np.isnan(label)
            label, forecast = label[known].astype(np.int64), forecast[known]
            sums.add(label, forecast, threshold)
            taken.append((label[-first % step :: step], forecast[-first % step :: step]))
            first += len(label)
        label, forecast = (np.concatenate(one) for one in zip(*taken, strict=True))
        figures = metrics.classification(label, forecast, threshold)
        if step > 1:
            # of all rows what is a sum; ranks are of every n-th row
            figures |= sums.figures()
        reference = tracking.table(self.settings, self.version.run_id, "test_predictions")
        before = metrics.classification(
            reference["label"].to_numpy(dtype=np.int64),
            reference["probability"].to_numpy(dtype=np.float64), threshold,
        )  # fmt: skip
        rows = self.spec.rows
        is_production = self.options.source == "production"
        answer = fit.answer(
            before, figures, total.labelled, metrics.intervals(label, forecast, threshold),
            current_name=rows.production_name if is_production else "scored rows",
            reference_name=self.version.tags.get(
                tracking.TAG + "rows_name", rows.development_name
            ),
        )  # fmt: skip
        return _Judged(figures, answer)

    def _record(
        self, name: str, frame: pd.DataFrame | None, kept: str, total: Done, judged: _Judged,
        rate: float,
    ) -> None:  # fmt: skip
        drawn: dict[str, dict[str, Any]] = {}
        sets: tuple[Dataset, ...] = ()
        files: tuple[Path, ...] = ()
        if frame is not None:
            scored = frame[["probability"]].assign(set="scored")
            drawn = {"probability": drift_charts.probability_density(scored).to_dict()}
            sets = (Dataset("scored", frame, f"data/07_model_output/{name}", "scoring"),)
            files = (storage.folder(self.settings, storage.MODEL_OUTPUT) / f"{name}.parquet",)
        tracking.log(
            self.settings, self.run_id,
            Record(
                params={"output": kept},
                metrics={
                    "rows_scored": total.rows,
                    "rows_labelled": total.labelled,
                    "rows_skipped": total.skipped,
                    "rows_rejected": total.rejected,
                    "rows_per_second": rate,
                    "requests": len(total.latencies),
                    "latency_ms_median": float(np.median(total.latencies)),
                    "probability_mean": total.probability / total.rows,
                    "predicted_positive": total.positive,
                    **{f"{key}_{self.options.source}": one for key, one in judged.figures.items()},
                },
                tags={tracking.TAG + "fit": judged.answer["verdict"]} if judged.answer else {},
                figures=drawn,
                tables={"rejected": fit.rejected_table(total.listed)} if total.rejected else {},
                documents={"fit": judged.answer} if judged.answer else {},
                files=files,
                datasets=sets,
            ),
        )  # fmt: skip


def _server(settings: Settings, options: Options) -> server.Server | None:
    """Return the server that is meant, None where a version is scored without any."""
    ready = [found for found in server.servers(settings) if found.state in ("ready", "restarting")]
    if options.port is not None:
        ready = [found for found in ready if found.port == options.port]
    if not ready:
        if options.way != "endpoint" and options.port is None:
            return None
        where = f" on port {options.port}" if options.port is not None else ""
        raise NotReadyError(f"No model is served{where}. Start one on the Serve page first.")
    # what people call, before what was started beside it
    return max(ready, key=lambda found: (found.is_live, found.started))


def _rows(
    settings: Settings, spec: ProjectSpec, options: Options, inputs: tuple[str, ...], run_id: str
) -> _Rows:
    columns = schema.chosen_columns(spec, inputs)
    if options.source == "path":
        return _of_path(spec, options, columns)
    is_sample, digest, checked = False, "", None
    if options.source == "row":
        given = {name: [(options.row or {}).get(name)] for name in inputs}
        found = schema.validate(pd.DataFrame(given), columns).frame
    elif options.source == "upload":
        found, checked = _of_upload(settings, spec, options, columns, run_id)
    else:
        snapshot = snapshots.current(settings)
        if snapshot is None:
            raise NotReadyError("No raw data yet. Acquire a source on the Acquire page first.")
        raw = schema.validate_source(snapshots.read(settings, snapshot, spec.columns), spec).frame
        found = raw[raw[spec.rows.column] == spec.rows.production].reset_index(drop=True)
        if found.empty:
            raise InputError(
                f"The raw data has no row with {spec.rows.column} = '{spec.rows.production}'."
            )
        is_sample = snapshot.is_sample
    keys = None
    if spec.id in found:
        import pyarrow

        # a key is told in its own type, where it has that
        ids = found[spec.id] if checked is None else checked.frame[spec.id]
        keys = pyarrow.array([_key(one) for one in ids.tolist()], pyarrow.string())
    target = spec.target if spec.target in found else None
    wanted = {**columns, **(schema.chosen_columns(spec, (spec.target,)) if target else {})}
    return _Rows(
        wanted, {name: name for name in wanted}, target, None, (Part(0, "", 0, len(found)),),
        len(found), digest, is_sample, frame=found[list(wanted)], keys=keys, checked=checked,
    )  # fmt: skip


def _of_upload(
    settings: Settings, spec: ProjectSpec, options: Options, columns: Mapping[str, Column],
    run_id: str,
) -> tuple[pd.DataFrame, schema.Validated]:  # fmt: skip
    """Return an uploaded file's rows by our names, as they stand, and what validation says."""
    assert options.upload is not None  # the options' own validation
    wanted = {**columns, **schema.chosen_columns(spec, (spec.id, spec.target))}
    path, name = storage.uploaded(settings, options.upload), options.upload.name
    mapped = {ours: theirs for ours, theirs in options.mapping.items() if ours in wanted}
    by_file = {mapped.get(ours, ours): column for ours, column in wanted.items()}
    frame = tables.read(path, name, by_file)
    _refuse_absent(mapped, frame.columns, name)
    frame = frame.rename(columns={theirs: ours for ours, theirs in mapped.items()})
    checked = schema.inspect(frame, wanted, optional=(spec.id, spec.target))
    report = Record(tables={"validation": schema.as_table(checked.findings)})
    tracking.log(settings, run_id, report)
    # a wrong value is a matter of its row; a column that is not there is one of all
    if any(one.severity == "error" and one.rows is None for one in checked.findings):
        checked.required()
    frame = frame.rename(columns=schema.taken_aliases([str(one) for one in frame.columns], wanted))
    return frame.reset_index(drop=True), checked


def _of_path(spec: ProjectSpec, options: Options, columns: Mapping[str, Column]) -> _Rows:
    assert options.path is not None  # the options' own validation
    source = batches.look(options.path)
    wanted = {**columns, **schema.chosen_columns(spec, (spec.id, spec.target))}
    mapped = {ours: theirs for ours, theirs in options.mapping.items() if ours in wanted}
    _refuse_absent(mapped, source.columns, source.address)
    aliased = schema.taken_aliases(source.columns, wanted)
    names = {
        **{ours: theirs for theirs, ours in aliased.items()},
        **{name: name for name in wanted if name in source.columns},
        **mapped,
    }
    if missing := [name for name in columns if name not in names]:
        raise InputError(
            f"'{source.address}' has no column {', '.join(missing)}, which the model needs. Say "
            "which of its columns it is."
        )
    target = spec.target if spec.target in names else None
    kept = {name: one for name, one in wanted.items() if name in columns or name == target}
    return _Rows(
        kept, names, target, spec.id if spec.id in names else None, source.parts, source.rows,
        source.digest, source=source,
    )  # fmt: skip


def _refuse_absent(mapped: Mapping[str, str], there: Iterable[object], name: str) -> None:
    if absent := [theirs for theirs in mapped.values() if theirs not in set(there)]:
        raise InputError(f"'{name}' has no column {', '.join(absent)}. Choose another one.")


def _tell_nothing_left(rows: _Rows, total: Done) -> None:
    if rows.checked is not None:
        rows.checked.required()
    if total.listed:
        row, column, value, reason = total.listed[0]
        raise InputError(
            f"No row can be scored. Row {row:,}, column '{column}': '{value}' {reason}."
        )
    raise InputError("Every row misses the value of a feature. There is nothing to score.")


def _interrupted(settings: Settings, run_id: str) -> tuple[Options, str, Place]:
    """Return the options, the id and the place of a scoring that did not end."""
    found = tracking.run(settings, run_id)
    if found is None or found.step != "score" or STAGING not in found.tags:
        raise InputError(f"The run {run_id[:8]} is no scoring that could go on. Score anew.")
    if found.status == "FINISHED":
        raise InputError(f"The scoring {run_id[:8]} is finished. There is nothing left to do.")
    scoring = found.tags[SCORING]
    place = Place(*json.loads(found.tags[STAGING]))
    kept = tracking.artifact(settings, scoring, "settings.json").read_text(encoding="utf-8")
    options = Options(**json.loads(kept)["options"])
    if options.source != "path" or place.manifest() is None:
        raise InputError(f"Nothing is left of the scoring {run_id[:8]} to go on from. Score anew.")
    return options, scoring, place


@contextmanager
def _alone(settings: Settings, scoring: str) -> Iterator[None]:
    """Hold back a second process that would go on with the same scoring."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    path = settings.state_dir / f"scoring-{scoring[:12]}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError("This scoring goes on already, in another job.") from error
    try:
        yield
    finally:
        lock.release()
        path.unlink(missing_ok=True)


def output_name(source: str, run_id: str, *, is_sample: bool) -> str:
    """Return what the file of a scoring is called; made-up rows are told by their name.

    Examples
    --------
    >>> output_name("production", "0123456789abcdef", is_sample=True)
    'sample_production_0123456789ab'
    """
    return f"{'sample_' if is_sample else ''}{source}_{run_id[:12]}"


def _key(value: object) -> str | None:
    if value is None or value != value:  # NaN is not itself
        return None
    # a column of whole numbers with a missing one is read as floats
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
