"""The rows of a replay: labelled, in the order of time, and cut into windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.data import snapshots, split
from core.platform import model_store, project
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.messages import Message
from core.platform.project import ProjectSpec
from core.platform.schema import no_columns
from core.retraining import injection as drifts
from core.retraining import row_stream
from core.retraining.row_stream import Span, Stream
from core.retraining.simulation import Recipe
from core.stats.metrics import Floats

if TYPE_CHECKING:
    from core.retraining.replay import Options


def champions_features(settings: Settings, spec: ProjectSpec) -> tuple[str, ...]:
    """Return the features of the champion; without one, the project's."""
    version = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    return spec.features if version is None else version.features


def not_applicable(spec: ProjectSpec) -> Message | None:
    """Return why a project's rows cannot be replayed; None if they can."""
    if spec.time is not None:
        return None
    return Message("The project file names no column as `{key}`.", key="time")


def in_order(raw: pd.DataFrame, spec: ProjectSpec, which: str) -> tuple[pd.DataFrame, Floats]:
    """Return the labelled rows in the order of time, and the time of each.

    Parameters
    ----------
    which : {"development", "all"}
        The project's development rows, or all.
    """
    if reason := not_applicable(spec):
        raise InputError(reason)
    only = split.default_rows(spec) if which == "development" else {}
    rows = split.filter_rows(raw, spec, only, needed=[spec.target, str(spec.time)]).frame
    # sorted by id before, which breaks ties in time
    moments = row_stream.moments_of(rows[spec.time])
    order = np.argsort(moments, kind="stable")
    return rows.iloc[order].reset_index(drop=True), moments[order]


def rows_and_windows(
    raw: pd.DataFrame, spec: ProjectSpec, options: Options, features: tuple[str, ...]
) -> tuple[pd.DataFrame, list[Span]]:
    """Return the replayed rows in order, and the windows after the first training."""
    if fault := spec.fault_of(features):
        raise InputError(
            Message("These features cannot be used: {fault}. Choose others.", fault=fault)
        )
    rows, moments = in_order(raw, spec, options.rows)
    column = options.window_column
    by = options.window
    if by == "column":
        column = column or next(iter(dividing(rows, spec)), None)
        if column is None:
            by = "year"
        elif column not in rows:
            raise InputError(no_columns([column]))
    names = rows[column] if by == "column" else pd.Series(dtype=object)
    how = {"by": by, "rows": options.window_rows}
    if options.train_until is not None:
        first = int(np.searchsorted(moments, drifts.seconds(options.train_until)))
    elif options.train_share is not None:
        # rows of the same time stay together
        first = int(np.searchsorted(moments, moments[int(options.train_share * len(rows))]))
    else:
        first = row_stream.first_of(moments, names, windows=options.train_windows, **how)  # type: ignore[arg-type]
    if not 0 < first < len(rows):
        raise InputError(
            Message(
                "{moment} leaves no rows on one side: they are from {first} to {last}. Choose a "
                "moment in between.",
                moment=str(options.train_until or options.train_share),
                first=str(rows[str(spec.time)].iloc[0]),
                last=str(rows[str(spec.time)].iloc[-1]),
            )
        )
    return rows, row_stream.cut(moments, first, names=names, **how)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Outlook:
    """What can be replayed.

    Parameters
    ----------
    first, last : str
        Dates of the first and last labelled row.
    dividing : tuple of str
        Columns whose values divide time into stretches.
    """

    rows: int
    first: str
    last: str
    dividing: tuple[str, ...]


def outlook(settings: Settings, *, rows: str = "development") -> Outlook | None:
    """Return what can be replayed, None before the first acquisition.

    Raises
    ------
    InputError
        When no row can be replayed.
    """
    spec = project.of(settings)
    snapshot = snapshots.current(settings)
    if snapshot is None:
        return None
    raw = snapshots.Archive.of(settings).validated(snapshot, spec)
    ordered, moments = in_order(raw, spec, rows)
    days = row_stream.day(moments[0]), row_stream.day(moments[-1])
    return Outlook(len(ordered), *days, tuple(dividing(ordered, spec)))


def dividing(rows: pd.DataFrame, spec: ProjectSpec) -> list[str]:
    """Return the columns of few values that divide time: each value is one stretch of rows.

    Parameters
    ----------
    rows : DataFrame
        Ordered by time.
    """
    columns = []
    for name in spec.slices:
        values = split.as_text(rows[name])
        stretches = int((values != values.shift()).sum())
        if 2 <= stretches == values.nunique():
            columns.append(name)
    return columns


def stream_and_recipe(
    spec: ProjectSpec,
    options: Options,
    features: tuple[str, ...],
    rows: pd.DataFrame,
    inputs_and_target: pd.DataFrame,
    moments: Floats,
) -> tuple[Stream, Recipe]:
    """Return the rows as they arrive with their labels, and how models are trained on them."""
    from core.platform import served_model

    inputs = spec.inputs_of(features)
    seen_features = served_model.with_features(
        served_model.checked(inputs_and_target, spec.kinds_of(inputs), is_complete=False),
        features,
        spec.formulas_of(features),
    )
    texts = tuple(name for name in features if spec.is_text(name))
    stream = Stream(
        seen_features,
        row_stream.coded(seen_features, texts),
        inputs_and_target[spec.target].to_numpy(dtype=np.int64),
        moments,
        row_stream.arrivals(
            moments,
            delay_days=options.label_delay_days,
            share=options.label_share,
            seed=options.seed,
        ),
        rows[spec.id].astype(str).tolist(),
    )
    recipe = Recipe(
        options.candidate,
        options.params,
        tuple(features),
        texts,
        impute=bool(seen_features.isna().any().any()),
        threshold=spec.threshold,
        seed=options.seed,
    )
    return stream, recipe
