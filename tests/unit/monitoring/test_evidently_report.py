"""Evidently's report: what it receives, and the message where it is not installed.

The extra is not a dependency: a stand-in module records what it receives. One test uses the real
one where it is installed.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.monitoring import evidently_report
from core.platform.errors import InputError, NotReadyError

HOSTILE = "</script><script>alert(1)</script>"


def rows(count: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(count)
    return pd.DataFrame(
        {
            "x": rng.normal(shift, 1, count),
            "kind": rng.choice(["jump", HOSTILE], count),
            "empty": np.nan,
            "is_home": rng.choice([True, False], count),
        }
    )


class Stand(types.ModuleType):
    """A stand-in for the module evidently."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    captured: dict[str, Any] = {"error": None}
    main, presets = Stand("evidently"), Stand("evidently.presets")

    class Definition:
        def __init__(self, numerical_columns: list[str], categorical_columns: list[str]) -> None:
            captured["numbers"], captured["texts"] = numerical_columns, categorical_columns

    class Data:
        @staticmethod
        def from_pandas(frame: pd.DataFrame, definition: Definition) -> pd.DataFrame:
            return frame

    class Report:
        def __init__(self, metrics: list[object]) -> None:
            captured["tracked"] = os.environ.get("DO_NOT_TRACK")

        def run(self, current: pd.DataFrame, reference: pd.DataFrame) -> Report:
            captured["current"], captured["reference"] = current, reference
            return self

        def get_html_str(self, *, as_iframe: bool) -> str:
            if captured["error"]:
                raise captured["error"]
            return f"<!DOCTYPE html>{as_iframe}"

    main.DataDefinition, main.Dataset, main.Report = Definition, Data, Report  # type: ignore[attr-defined]
    presets.DataDriftPreset = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "evidently", main)
    monkeypatch.setitem(sys.modules, "evidently.presets", presets)
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    # what the call itself sets is undone after the test
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return captured


def test_a_missing_installation_is_reported_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not evidently_report.available()
    with pytest.raises(
        NotReadyError, match=r"not installed.* Run `pip install evidently==0\.7\.23"
    ):
        evidently_report.html(rows(9), rows(9), ["x"])


def test_another_version_is_reported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evidently", Stand("evidently"))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert evidently_report.available()
    with pytest.raises(NotReadyError, match="not installed, or not in a version that can be used"):
        evidently_report.html(rows(9), rows(9), ["x"])


def test_it_compares_current_with_reference_without_tracking(captured: dict[str, Any]) -> None:
    reference, current = rows(300), rows(200, 2.0)
    current.loc[3, "x"], current.loc[4, "kind"] = np.inf, None
    page = evidently_report.html(reference, current, list(reference))
    assert page == "<!DOCTYPE html>False"
    assert captured["tracked"] == "1"
    assert (captured["numbers"], captured["texts"]) == (["x", "is_home"], ["kind"])
    assert (len(captured["reference"]), len(captured["current"])) == (300, 200)
    np.testing.assert_allclose(captured["reference"]["x"], reference["x"])
    assert captured["current"]["x"].isna().tolist() == [place == 3 for place in range(200)]
    assert pd.isna(captured["current"]["kind"][4])


def test_no_text_of_the_data_can_end_the_script_that_it_is_put_into(
    captured: dict[str, Any],
) -> None:
    frame = rows(50).rename(columns={"x": HOSTILE})
    evidently_report.html(frame, frame, [HOSTILE, "kind"])
    passed = [*captured["current"], *captured["current"]["kind"]]
    assert "‹/script›‹script›alert(1)‹/script›" in passed
    assert not [text for text in passed if "<" in text or ">" in text]


def test_of_many_rows_some_are_drawn_the_same_each_time(
    captured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidently_report, "MOST_ROWS", 40)
    evidently_report.html(rows(300), rows(30), ["x"])
    first = captured["reference"]
    assert (len(first), len(captured["current"])) == (40, 30)
    evidently_report.html(rows(300), rows(30), ["x"])
    pd.testing.assert_frame_equal(captured["reference"], first)


def test_what_cannot_be_compared_is_reported(captured: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="No column has values on both sides"):
        evidently_report.html(rows(9), rows(0), ["x"])
    with pytest.raises(InputError, match="No column has values on both sides"):
        evidently_report.html(rows(9), rows(9), ["empty"])
    captured["error"] = ValueError("array of one kind")
    with pytest.raises(InputError, match="Evidently cannot be used: array of one kind"):
        evidently_report.html(rows(9), rows(9), ["x"])


def test_the_real_one_makes_a_page_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("evidently", reason="evidently is an extra: it is not installed")
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    page = evidently_report.html(rows(300), rows(200, 2.0), list(rows(1)))
    assert "Dataset Drift" in page
    assert HOSTILE not in page
