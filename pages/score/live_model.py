"""The served version in this process: what it would answer, without a request or an entry."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.platform import model_store, project
from core.platform.config import Settings
from core.platform.messages import _
from core.platform.plugins import part
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.serving import server
from pages.shared import elements, row_field

Row = Mapping[str, row_field.Value]


def version_of(settings: Settings, served: server.Server) -> ModelVersion:
    """Return the version that is served."""
    return model_store.require_version(settings, served.model, served.version)


def probability(settings: Settings, version: ModelVersion, row: Row) -> float:
    """Return the predicted probability of a row.

    Raises
    ------
    InputError
        When a value is missing that the model needs.
    """
    # once for a version and a start of the app: scikit-learn's import takes seconds
    key = (version.name, version.version, version.run_id)
    with st.spinner(_("Loading version {version}", version=version.version)):
        loaded = _loaded(settings, settings.mlflow_uri, key)
    return float(loaded.predict(_frame(loaded, row))[0])


def court_cells(settings: Settings, version: ModelVersion, row: Row) -> pd.DataFrame:
    """Return the predicted probability at every place, with all other inputs as in the row.

    Raises
    ------
    InputError
        When another input is missing that the model needs.
    """
    key = (version.name, version.version, version.run_id)
    with st.spinner(_("Loading version {version}", version=version.version)):
        _loaded(settings, settings.mlflow_uri, key)
    return _cells(settings, settings.mlflow_uri, key, tuple(row.items()))


@st.cache_resource(show_spinner=False, max_entries=2)
def _loaded(_settings: Settings, store: str, key: tuple[str, str, str]) -> version_files.Loaded:
    model, number, _run_id = key
    return version_files.load(_settings, model_store.require_version(_settings, model, number))


@st.cache_data(show_spinner=False, max_entries=32)
def _cells(
    _settings: Settings,
    store: str,
    key: tuple[str, str, str],
    row: tuple[tuple[str, row_field.Value], ...],
) -> pd.DataFrame:
    loaded = _loaded(_settings, store, key)
    known = elements.table(_settings, store, key[2], "test_predictions")
    spec = project.of(_settings)
    cells: pd.DataFrame = part(spec.name, "court_map").probability_map(
        loaded.predict, spec, _frame(loaded, dict(row)), known[list(loaded.inputs)]
    )
    return cells


def _frame(loaded: version_files.Loaded, row: Row) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series([row.get(name)], dtype="object" if kind == "text" else "float64")
            for name, kind in loaded.inputs.items()
        }
    )
