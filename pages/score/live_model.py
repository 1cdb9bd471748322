"""What the served version would answer, neither logged nor counted.

The app itself loads no model: scikit-learn's import alone takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.platform import model_store, project
from core.platform.config import Settings
from core.platform.plugins import part
from core.platform.runs import ModelVersion
from core.serving import api_keys, client, protocol, server
from pages.shared import elements, row_field

Row = Mapping[str, row_field.Value]
Answers = np.ndarray[Any, np.dtype[np.float64]]
# a page waits no longer than this
SECONDS = 5.0


def version_of(settings: Settings, served: server.Server) -> ModelVersion:
    """Return the version that is served."""
    return model_store.require_version(settings, served.model, served.version)


def probability(settings: Settings, served: server.Server, row: Row) -> float:
    """Return the predicted probability of a row.

    Raises
    ------
    InputError
        When a value is missing that the model needs.
    ServerError
        When its server does not answer.
    """
    return _probability(
        served.run_id, served.version, tuple(row.items()), _settings=settings, _served=served
    )


def court_cells(settings: Settings, served: server.Server, row: Row) -> pd.DataFrame:
    """Return the predicted probability at every place, with all other inputs as in the row.

    Raises
    ------
    InputError
        When another input is missing that the model needs.
    ServerError
        When its server does not answer.
    """
    key = (settings.mlflow_uri, served.run_id, served.version)
    return _cells(key, tuple(row.items()), _settings=settings, _served=served)


@st.cache_data(show_spinner=False, max_entries=256)
def _probability(
    run_id: str,
    version: str,
    row: tuple[tuple[str, row_field.Value], ...],
    *,
    _settings: Settings,
    _served: server.Server,
) -> float:
    return float(_answers(_settings, _served, _frame(_served, dict(row)))[0])


@st.cache_data(show_spinner=False, max_entries=32)
def _cells(
    key: tuple[str, str, str],
    row: tuple[tuple[str, row_field.Value], ...],
    *,
    _settings: Settings,
    _served: server.Server,
) -> pd.DataFrame:
    known = elements.table(_settings, key[1], "test_predictions")
    spec = project.of(_settings)
    cells: pd.DataFrame = part(spec.name, "court_map").probability_map(
        lambda rows: _answers(_settings, _served, rows),
        spec,
        _frame(_served, dict(row)),
        known[list(_served.inputs)],
    )
    return cells


def _answers(settings: Settings, served: server.Server, rows: pd.DataFrame) -> Answers:
    return client.score(
        served.url,
        rows,
        served.inputs,
        is_complete=served.is_complete,
        timeout=SECONDS,
        form="json",
        headers={protocol.TOKEN: api_keys.internal_token(settings), protocol.UNLOGGED: "1"},
        rules=served.contract,
    ).probabilities


def _frame(served: server.Server, row: Row) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series([row.get(name)], dtype="object" if kind == "text" else "float64")
            for name, kind in served.inputs.items()
        }
    )
