"""What a preparation reads: the raw rows, and the sets and labels of a training it continues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.data.snapshots import Archive, Snapshot
from core.platform.errors import InputError
from core.platform.messages import Message
from core.platform.project import ProjectSpec
from core.platform.tracking import OpenRun
from core.predictions_log.known_labels import KnownLabels


@dataclass(frozen=True)
class Earlier:
    """The sets of a training that is continued, and the labels known since.

    Parameters
    ----------
    train_keys, test_keys : Series
        Ids of the rows in either set.
    labels : Series
        Label 0, 1 or NaN of each raw row.
    was_scored : Series
        Whether each raw row was scored and has a label.
    """

    train_keys: pd.Series[Any]
    test_keys: pd.Series[Any]
    labels: pd.Series[Any]
    was_scored: pd.Series[Any]

    @property
    def keys(self) -> frozenset[Any]:
        """Ids of the rows in both sets."""
        return frozenset(self.train_keys) | frozenset(self.test_keys)


@dataclass(frozen=True)
class Inputs:
    """All that a preparation reads; `earlier` is None where no training is continued."""

    snapshot: Snapshot
    raw: pd.DataFrame
    earlier: Earlier | None


def gather(
    archive: Archive, run: OpenRun, known: KnownLabels, spec: ProjectSpec, continues: str | None
) -> Inputs:
    """Read the current raw rows and, where a training is continued, what belongs to it.

    Parameters
    ----------
    archive, run, known
        Where the raw rows, the sets of the training and the later labels are read.
    continues : str or None
        Run id of the training.

    Raises
    ------
    NotReadyError
        Before the first acquisition.
    InputError
        When the raw rows have errors, or the training cannot be continued with them.
    """
    snapshot = archive.require_current()
    raw = archive.validated(snapshot, spec)
    if continues is None:
        return Inputs(snapshot, raw, None)
    train_keys, test_keys = _keys(run, spec, continues, is_sample=snapshot.is_sample)
    labels, was_scored = known.of_rows(raw[spec.id], raw[spec.target], is_sample=snapshot.is_sample)
    return Inputs(snapshot, raw, Earlier(train_keys, test_keys, labels, was_scored))


def _keys(
    run: OpenRun, spec: ProjectSpec, run_id: str, *, is_sample: bool
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Return the ids of the rows that a training learned from, and of those that tested it."""
    before = run.earlier(run_id)
    if before is None or before.step != "train":
        raise InputError(Message("'{name}' does not exist.", name=run_id[:8]))
    if before.is_sample != is_sample:
        raise InputError(
            Message(
                "The raw data and the training to continue from must both be from the built-in "
                "sample, or neither. Acquire the matching data, or prepare and train again."
            )
        )
    return run.table(run_id, "train_keys")[spec.id], run.table(run_id, "test_rows")[spec.id]
