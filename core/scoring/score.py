"""score: score rows with a registered version, and store the predictions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from core.jobs import local_cluster
from core.platform import csv_dialect, model_store, project, steps, storage, tracking
from core.platform.config import Settings, needs
from core.platform.errors import InputError, NotReadyError
from core.platform.messages import Message
from core.platform.own_columns import LABEL, PREDICTION_ID
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Progress, Record, counted
from core.platform.storage import Upload
from core.predictions_log import labels, predictions
from core.scoring import (
    addresses,
    backends,
    interruption,
    label_sums,
    new_levels,
    output_parts,
    part_records,
    part_scoring,
    row_source,
    scorer,
    scoring_record,
)
from core.scoring.output_parts import Place
from core.scoring.part_records import Done, Work
from core.scoring.records import ScoringRun
from core.scoring.row_source import Rows
from core.serving import client

# up to this size a result is a single file, and its rows are in the log
KEPT_ROWS = 200_000
# measured in docs/decisions/0021
BATCH_ROWS = {"endpoint": client.BATCH_ROWS, "in_process": 131_072, "dask": 131_072}
LOGGED_AS = {"row": "page", "upload": "file", "path": "file", "production": "production"}


class Options(csv_dialect.Options):
    """Which rows to score, how, and what to store.

    Parameters
    ----------
    source : {"production", "upload", "row", "path"}
        The project's production rows, an uploaded file, one row's values, or a place on disk or
        on the network.
    port : int, optional
        Port of the served model; by default the live endpoint or, without one, the server started
        last. In process and with Dask it selects the version; if nothing is served, the champion.
    upload : Upload, optional
        As returned by `storage.stage_upload`; for source `upload`.
    path : str, optional
        For source `path`: a parquet or CSV file, a folder of such files, or an address that
        fsspec knows (`s3://bucket/folder`).
    row : dict of str to (float, str or None), optional
        A value per input of the model; for source `row`.
    mapping : dict of str to str
        The model's column (or the id, or the target) -> the column of the file; other columns are
        matched by name or alias.
    way : {"endpoint", "in_process", "dask"}
        Through the served model's /invocations, by the same function in the job's own process, or
        on the workers of a Dask cluster.
    keep : {"rows", "file"}, optional
        Whether each row goes into the predictions log, or the log refers to the result as a file;
        by default rows up to 200,000 rows, else the file. An endpoint logs every row.
    columns : {"all", "scores"}, optional
        Contents of the result besides our own columns (`core.platform.own_columns`: id, row, key,
        probability, predicted and label): all inputs, or nothing; by default all, but for `path`
        the scores.
    batch_rows : int, optional
        Rows scored at a time, 1 to 1,000,000; by default the fastest for the way.
    destination : str, optional
        For source `path`: a folder or address for the result, which must not exist or be empty;
        by default a folder with the run's name in data/07_model_output.
    resume : str, optional
        Run id of an interrupted scoring of a `path`, which resumes after its last finished part,
        with its original options; the other options are ignored.
    delimiter : {"comma", "semicolon", "tab", "bar"}, optional
        Field delimiter of CSV files; detected per file by default.
    decimal : {"point", "comma"}, optional
        Decimal sign of CSV files; detected per file by default.
    encoding : {"utf-8", "windows-1252"}, optional
        Encoding of CSV files; detected per file by default.
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
        if any(
            address and addresses.holds_credentials(address)
            for address in (self.path, self.destination)
        ):
            # so that no run, job or log sees it
            raise ValueError(addresses.NO_CREDENTIALS)
        if self.resume is not None:
            return self
        given = {"upload": self.upload, "row": self.row, "path": self.path, "production": True}
        if given[self.source] is None:
            raise needs(f"source = {self.source}", self.source)
        if self.source != "path" and self.destination is not None:
            raise needs("destination", "source = path")
        if self.way == "dask" and self.source != "path":
            raise needs("way = dask", "source = path")
        if self.way == "dask" and self.keep == "rows":
            raise needs("way = dask", "keep = file")
        if self.way == "endpoint" and self.keep == "file":
            raise needs("keep = file", "way = in_process")
        return self


@dataclass(frozen=True)
class Result:
    """The result of a scoring.

    Parameters
    ----------
    rows, rows_labelled, rows_skipped, rows_rejected : int
        Scored; scored with a label; left out because an input is missing; left out because a value
        is invalid (these are listed in `tables/rejected.parquet`).
    probability : float
        Mean over the rows.
    log_loss, f1 : float or None
        On the labelled rows; None if there are none.
    scoring : str
        Id of the scoring: the run id of its first attempt.
    output : str
        Path or address of the result.
    rows_per_second : float
        Including reading and writing.
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
    rows_per_second: float = 0.0


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Score rows, as the run `PipelineAplicacao`.

    All ways give the same predictions for the same rows: those of the served model's own code.
    Rows that cannot be scored are listed and left out.

    Raises
    ------
    NotReadyError
        When no model is served or registered, no cluster runs, or there are no raw rows yet.
    InputError
        When the rows cannot be used, the place of the result is taken, or an interrupted scoring
        cannot resume because its source or its model has changed.
    ServerError
        When the server goes down or refuses the rows.
    StoreError
        When the result or the log cannot be written. Finished parts of a `path` stay.
    """
    spec = project.of(settings)
    with tracking.step_run(settings, "score", options, progress) as run_id:
        scoring, place = run_id, None
        if options.resume:
            given, scoring, place = interruption.find(settings, options.resume)
            options = Options(**given)
        with interruption.alone(settings, scoring):
            return _Scoring(settings, spec, options, progress, run_id, scoring).run(place)


class _Scoring:
    """One attempt at a scoring."""

    def __init__(
        self,
        settings: Settings,
        spec: ProjectSpec,
        options: Options,
        progress: Progress,
        run_id: str,
        scoring: str,
    ) -> None:
        self.settings, self.spec, self.options, self.progress = settings, spec, options, progress
        self.run_id, self.scoring = run_id, scoring
        self.serving = backends.chosen(settings, options.port, needs_one=options.way == "endpoint")
        named = (spec.model, model_store.CHAMPION)
        if self.serving is not None:
            named = (self.serving.model, self.serving.version)
        self.version = model_store.require_version(settings, *named)
        self.alias = self.serving.alias if self.serving else model_store.CHAMPION
        self.begun = time.monotonic()
        self.rows_done = self.rows_before = 0
        # figures of the rows that were scored in this process
        self.tally: label_sums.Tally | None = None
        # known once the rows are loaded
        self.is_sample = self.version.is_sample

    def run(self, place: Place | None) -> Result:
        """Score the remaining rows, and store the result."""
        settings, options, progress = self.settings, self.options, self.progress
        progress.update(0.05, Message("Reading the rows"))
        rows = row_source.gather(settings, self.spec, options, self.version.inputs, self.run_id)
        self.is_sample = rows.is_sample or self.version.is_sample
        name = output_name(options.source, self.run_id, is_sample=self.is_sample)
        place = place or self._place(name)
        work = self._work(rows, place)
        try:
            before = self._begin(work, rows)
            self._introduce(place)
            keep = options.keep or ("rows" if rows.count <= KEPT_ROWS else "file")
            keeps_rows = (options.way, keep) == ("in_process", "rows") or options.way == "endpoint"
            total = part_records.total(
                [*before.values(), *self._score(work, rows, before, keeps_rows)]
            )
            if not total.rows:
                row_source.refuse_nothing_left(rows, total)
            rate = (rows.count - self.rows_before) / max(time.monotonic() - self.begun, 1e-9)
            progress.update(0.8, Message("Comparing the results"))
            figures = label_sums.of_result(
                place,
                total.labelled,
                self.version.threshold,
                rows.weights,
                options.source,
                self.tally,
            )
            frame = place.frame() if total.rows <= KEPT_ROWS else None
            kept = place.address
            if frame is not None and not options.destination:
                kept = str(storage.folder(settings, storage.MODEL_OUTPUT) / f"{name}.parquet")
            progress.update(0.9, Message("Comparing the results"))
            # the log first: if it fails, the parts are there to resume from
            self._log(place, total, None if keeps_rows else kept)
            self._keep(place, name, frame, kept)
        except BaseException:
            if options.source != "path":
                place.forget()
            raise
        figures["rows_per_second"] = rate
        record = scoring_record.of(
            settings, self.spec, rows, total, figures, name=name, frame=frame, kept=kept
        )
        tracking.log(settings, self.run_id, record)
        progress.update(
            1.0,
            Message(
                "{rows:,} rows scored, {labelled:,} of them labelled",
                rows=total.rows,
                labelled=total.labelled,
            ),
        )
        return Result(
            self.run_id,
            total.rows,
            total.labelled,
            total.skipped,
            total.probability / total.rows,
            figures.get(f"log_loss_{options.source}"),
            figures.get(f"f1_{options.source}"),
            total.rejected,
            self.scoring,
            kept,
            rate,
        )

    def _place(self, name: str) -> Place:
        if self.options.destination:
            return output_parts.place(self.options.destination, self.scoring)
        path = storage.folder(self.settings, storage.MODEL_OUTPUT) / name
        if self.options.source == "path":
            return output_parts.place(str(path), self.scoring)
        # not resumable: `leftovers.sweep` removes what a killed process leaves
        return Place(str(path), str(storage.beside(path)))

    def _work(self, rows: Rows, place: Place) -> Work:
        options, version = self.options, self.version
        # the contents of a large source are not written again
        columns = options.columns or ("all" if rows.source is None else "scores")
        return Work(
            scoring=self.scoring,
            source=rows.source,
            columns=rows.columns,
            names=rows.names,
            inputs=tuple(version.inputs),
            target=rows.target,
            key=rows.key,
            features=version.features,
            formulas=version.formulas,
            is_complete=version.is_complete,
            place=place,
            keeps_inputs=columns == "all",
            batch_rows=options.batch_rows or BATCH_ROWS[options.way],
            key_rule=self.spec.columns[self.spec.id].rule,
            levels={name: of for name, of in self._levels().items() if name in rows.columns},
        )

    def _levels(self) -> Mapping[str, frozenset[str]]:
        """Return the values that the version's training rows had; empty if it did not keep any."""
        if not any(self.spec.columns[name].type == "text" for name in self.version.inputs):
            return {}
        try:
            kept = tracking.table(self.settings, self.version.trained_by, "levels")
        except NotReadyError:  # trained before levels were stored
            return {}
        return new_levels.known(kept)

    def _begin(self, work: Work, rows: Rows) -> dict[int, Done]:
        """Return the finished parts; refuse to resume with another source or model."""
        manifest = {
            "scoring": self.scoring,
            "model": self.version.name,
            "version": self.version.version,
            "model_digest": self.version.about.model_sha256,
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
            raise InputError(interruption.not_continued(self.scoring))
        finished = {number: Done(**note) for number, note in work.place.notes().items()}
        done = sum(part.rows for part in rows.parts if part.number in finished)
        self.rows_before = self.rows_done = done
        return finished

    def _introduce(self, place: Place) -> None:
        """Record in the run what is scored and where the parts are, before the first part."""
        tracking.log(
            self.settings,
            self.run_id,
            Record(
                params={
                    "model": self.version.name,
                    "version": self.version.version,
                    "served_port": self.serving.port if self.serving else "",
                },
                tags=ScoringRun(
                    scoring=self.scoring,
                    staging=(place.address, place.staging),
                    source=self.options.source,
                    model_run=self.version.run_id,
                    version=self.version.version,
                ).write(),
                is_sample=self.is_sample,
            ),
        )

    def _score(
        self, work: Work, rows: Rows, before: Mapping[int, Done], keeps_rows: bool
    ) -> list[Done]:
        self.begun = time.monotonic()
        parts = [part for part in rows.parts if part.number not in before]
        self._report(rows.count)

        def on_rows(count: int) -> None:
            self.rows_done += count
            self._report(rows.count)

        if self.options.way == "dask":
            from core.scoring import cluster

            address = self.settings.dask or local_cluster.address(self.settings)
            model = scorer.load(self.settings, self.version)
            return cluster.score_all(address, work, parts, model, on_rows)
        answer = self._answerer(keeps_rows)
        in_flight = client.IN_FLIGHT if self.options.way == "endpoint" else 1
        given = rows.batches(work.batch_rows)
        if rows.target:
            self.tally = label_sums.Tally(self.version.threshold, rows.weights)
        on_scored = self.tally.add if self.tally else None
        return part_scoring.score_parts(work, parts, answer, on_rows, given, in_flight, on_scored)

    def _report(self, total: int) -> None:
        rate = (self.rows_done - self.rows_before) / max(time.monotonic() - self.begun, 1e-9)
        text = counted(steps.named("score").title, self.rows_done, total)
        if rate > 0 and self.rows_done < total:
            left = (total - self.rows_done) / rate
            text = Message(
                "{first}, {second}",
                first=text,
                second=Message("about {left:.0f} s left", left=max(left, 1.0)),
            )
        self.progress.update(0.1 + 0.7 * self.rows_done / total, text)

    def _answerer(self, keeps_rows: bool) -> scorer.Answerer:
        settings, version = self.settings, self.version
        source = LOGGED_AS[self.options.source]
        answerer: scorer.Answerer
        if self.options.way == "endpoint":
            assert self.serving is not None  # otherwise there is no endpoint to call
            sends_key = self.spec.id not in version.inputs
            # all attempts at a scoring are one in the log
            answerer = backends.Endpoint(
                settings,
                self.serving,
                source,
                self.scoring,
                self.spec.kinds_of(version.inputs),
                version.is_complete,
                self.spec.id if sends_key else None,
                self.is_sample,
                self._report_wait,
            )
        else:
            answerer = scorer.load(settings, version)
        if not keeps_rows:
            return answerer
        return backends.Logged(
            settings,
            answerer,
            version.name,
            version.version,
            self.alias,
            source,
            self.scoring,
            self.is_sample,
        )

    def _report_wait(self) -> None:
        self.progress.update(0.1, Message("The model's server has stopped."))

    def _log(self, place: Place, total: Done, path: str | None) -> None:
        """Add the scoring to the log, with the labels of its rows."""
        source = LOGGED_AS[self.options.source]
        now = time.time()
        if path is None and total.labelled:
            for table in place.read([PREDICTION_ID, LABEL]):
                known = table.to_pandas().dropna(subset=LABEL)
                reports = [
                    labels.Report(label=int(label), prediction_id=name, labelled_at=now)
                    for name, label in zip(known[PREDICTION_ID], known[LABEL], strict=True)
                ]
                if reports:
                    labels.report(self.settings, reports, source=source)
        line = predictions.Scoring(
            run_id=self.scoring,
            source=source,
            model=self.version.name,
            version=self.version.version,
            scored_at=now,
            rows=total.rows,
            labels=total.labelled,
            path=path,
            is_sample=self.is_sample,
        )
        predictions.finish(self.settings, line)

    def _keep(self, place: Place, name: str, frame: pd.DataFrame | None, kept: str) -> None:
        if frame is not None:
            with output_parts.wrap_write_errors(name):
                storage.save_output(self.settings, name, frame)
        if kept == place.address:
            place.finish()
        else:
            place.forget()


def output_name(source: str, run_id: str, *, is_sample: bool) -> str:
    """Return the file name of a scoring; synthetic rows are marked in the name.

    Examples
    --------
    >>> output_name("production", "0123456789abcdef", is_sample=True)
    'sample_production_0123456789ab'
    """
    return f"{'sample_' if is_sample else ''}{source}_{run_id[:12]}"
