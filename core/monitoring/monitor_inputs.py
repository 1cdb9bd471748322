"""What a report reads: the answers, the rows of training and test, and the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.data.snapshots import Archive
from core.monitoring import windows
from core.monitoring.report import Sides
from core.monitoring.windows import Window
from core.platform import model_store, schema, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError, NotReadyError
from core.platform.messages import Message
from core.platform.own_columns import LABEL, PROBABILITY, WEIGHT
from core.platform.project import ProjectSpec
from core.platform.rows import Rule, key_texts
from core.platform.runs import ModelVersion
from core.platform.tracking import OpenRun
from core.registry import version_files
from core.registry.version_files import Loaded

# candidates of one training, for their disagreement; more add little
MOST_CANDIDATES = 5


@dataclass(frozen=True)
class Candidates:
    """The models of one training that could be loaded, and how many could not."""

    loaded: list[Loaded]
    lost: int


@dataclass(frozen=True)
class Training:
    """The rows that a version was trained on: their keys, their features, and their kinds.

    `kinds` are the values of the project's column that parts training from operation.
    """

    keys: pd.Series[Any]
    features: pd.DataFrame
    kinds: frozenset[str]

    def share_of(self, keys: pd.Series[Any], rows: pd.DataFrame) -> float:
        """Return the share of rows that are among these: the same key, and the same features.

        The key alone does not identify a row: another file may use it for another one.
        """
        places = {key: place for place, key in enumerate(self.keys) if key is not None}
        place = keys.map(places).to_numpy(dtype=np.float64)
        known = ~np.isnan(place)
        same = np.ones(int(known.sum()), dtype=bool)
        for name in self.features:
            old = self.features[name].to_numpy()[place[known].astype(np.intp)]
            new = rows[name].to_numpy()[known]
            same &= (old == new) | (pd.isna(old) & pd.isna(new))
        return float(same.sum() / max(len(rows), 1))


@dataclass(frozen=True)
class Sources:
    """Where a report reads: the predictions log, the registry, the runs and the raw data."""

    settings: Settings
    spec: ProjectSpec
    run: OpenRun
    archive: Archive

    def scoring(self, run_id: str | None) -> Window:
        """Return all rows of a scoring, as `windows.of_scoring` does."""
        return windows.of_scoring(self.settings, run_id)

    def log(
        self,
        version: ModelVersion,
        *,
        since: float | None,
        until: float | None,
        last: int | None,
        source: str | None,
        where: Mapping[str, Sequence[str]],
        by_row: bool,
    ) -> Window:
        """Return what a version answered, as `windows.of_log` does."""
        return windows.of_log(
            self.settings,
            self.spec,
            version,
            since=since,
            until=until,
            last=last,
            source=source,
            where=where,
            by_row=by_row,
        )

    def version(self, alias_or_version: str) -> ModelVersion:
        """Return a version of the project's model.

        Raises
        ------
        NotReadyError
            When there is none.
        """
        return model_store.require_version(self.settings, self.spec.model, alias_or_version)

    def test_set(self, version: ModelVersion) -> Window:
        """Return the test set of a version as a window."""
        rows = self._joined(version, [self.spec.weights] if self.spec.weights else [])
        moment = version.created
        text = Message("{rows:,} rows of the test set, against the training set", rows=len(rows))
        return Window(rows, text, moment, moment, "test", version, is_sample=version.is_sample)

    def tested_rows(self, version: ModelVersion) -> pd.DataFrame:
        """Return the test set of a version: inputs, probability, label, and columns to judge by."""
        by_weight = [self.spec.weights] if self.spec.weights else []
        return self._joined(version, [*self.spec.slice_columns, *by_weight])

    def _joined(self, version: ModelVersion, names: Sequence[str]) -> pd.DataFrame:
        rows = self.run.table(version.run_id, "test_predictions")
        if not names:
            return rows
        with suppress(NotReadyError):  # of a training that was deleted
            whole = self.run.table(version.trained_by, "test_rows")
            if len(whole) == len(rows):
                more = [name for name in names if name in whole and name not in rows]
                rows = rows.join(whole[list(dict.fromkeys(more))])
        return rows

    def forecast_in_folds(self, version: ModelVersion) -> pd.DataFrame:
        """Return the training set with its out-of-fold predictions."""
        rows = self.training_rows(version)
        forecasts = self.run.table(version.run_id, "validation")
        if len(forecasts) != len(rows):
            raise NotReadyError(
                Message(
                    "Version {version} has out-of-fold predictions for {predicted:,} of its "
                    "{rows:,} training rows. Train on all rows to compare its test set with its "
                    "training set.",
                    version=version.version,
                    predicted=len(forecasts),
                    rows=len(rows),
                )
            )
        return rows.assign(**{name: forecasts[name].to_numpy() for name in (PROBABILITY, LABEL)})

    def training_rows(self, version: ModelVersion) -> pd.DataFrame:
        """Return the rows that a version was trained on, from the current raw data."""
        keys = self.run.table(version.trained_by, "train_keys")[self.spec.id]
        snapshot = self.archive.require_current()
        raw = self.archive.rows(snapshot, self.spec)
        raw = raw[~raw[self.spec.id].duplicated()].set_index(self.spec.id)
        # the same keys in the sample and in real rows are other rows
        if snapshot.is_sample != version.is_sample or not keys.isin(raw.index).all():
            raise NotReadyError(
                Message(
                    "The current raw data lacks rows that version {version} was trained on. Make "
                    "the snapshot of its training current, on the Data page.",
                    version=version.version,
                )
            )
        return raw.loc[keys].reset_index()

    def training(self, version: ModelVersion) -> Training:
        """Return the rows that a version was trained on, as the model sees them."""
        rows = self.training_rows(version)
        column = self.spec.rows.column
        return Training(
            pd.Series(
                key_texts(rows[self.spec.id], self.spec.columns[self.spec.id].type),
                index=rows.index,
                dtype="object",
            ),
            self.features(rows, version),
            frozenset(map(str, rows[column].unique())) if column in rows else frozenset(),
        )

    def features(self, rows: pd.DataFrame, version: ModelVersion) -> pd.DataFrame:
        """Return what a version sees of rows; a value that cannot be read is missing."""
        from core.platform import served_model

        kinds: dict[str, str | Rule] = {
            # words that are parsed as numbers have their own rule
            name: column.rule if (column := self.spec.columns[name]).type == "boolean" else kind
            for name, kind in self.spec.kinds_of(version.inputs).items()
        }
        inputs, _unused = served_model.settled(rows, kinds, is_complete=False)
        return served_model.with_features(inputs, version.features, version.formulas)

    def sides(self, reference: pd.DataFrame, window: Window) -> Sides:
        """Return both sides as the model sees them.

        Raises
        ------
        InputError
            When the project no longer has a column that the model takes.
        """
        version = window.version
        schema.chosen_columns(self.spec, version.inputs)
        seen = [
            self.features(rows, version)
            .assign(
                **{name: rows[name].to_numpy(dtype=np.float64) for name in (PROBABILITY, LABEL)}
            )
            .reset_index(drop=True)
            for rows in (reference, window.rows)
        ]
        names = tuple(name for name in seen[0].columns if name not in (PROBABILITY, LABEL))
        weights = self._weights(reference, window)
        if weights is not None:
            seen = [
                side.assign(**{WEIGHT: by.to_numpy()})
                for side, by in zip(seen, weights, strict=True)
            ]
        return Sides(seen[0], seen[1], names, version.threshold)

    def _weights(
        self, reference: pd.DataFrame, window: Window
    ) -> tuple[pd.Series[Any], pd.Series[Any]] | None:
        """Return the sampling weights of both sides, None unless all labelled rows have them.

        An unlabelled row without one has NaN.
        """
        column = self.spec.weights
        if column is None or column not in reference:
            return None
        rows, _unknown = windows.with_columns(
            self.archive, self.spec, window.rows, [column], is_sample=window.is_sample
        )
        old, new = (pd.to_numeric(side[column], errors="coerce") for side in (reference, rows))
        known = new[rows[LABEL].notna().to_numpy()]
        usable = (old > 0).all() and (known >= 0).all() and (known.empty or known.sum() > 0)
        return (old, new.where(new >= 0)) if usable else None

    def slices(
        self, reference: pd.DataFrame, window: Window
    ) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """Return the columns by whose values errors are judged, where both sides have them."""
        wanted = [name for name in self.spec.slice_columns if name in reference]
        rows, unknown = windows.with_columns(
            self.archive, self.spec, window.rows, wanted, is_sample=window.is_sample
        )
        if unknown == len(rows):
            wanted = [name for name in wanted if name in window.rows]
        if not wanted:
            return None
        return reference[wanted], rows[wanted]

    def candidates(self, version: ModelVersion) -> Candidates:
        """Return the candidates of the training of a version, ready to be asked."""
        settings, trained_by = self.settings, version.about.train_run
        if not trained_by:
            return Candidates([], 0)
        children = tracking.runs(settings, parent=trained_by, status="FINISHED")
        loaded, lost = [], 0
        for child in children[:MOST_CANDIDATES]:
            # one that cannot be loaded is counted and not asked: the others still can be
            try:
                candidate = version_files.candidate(settings, version.name, child.run_id)
                loaded.append(version_files.load(settings, candidate))
            except CourtsideError:
                lost += 1
        return Candidates(loaded, lost)
