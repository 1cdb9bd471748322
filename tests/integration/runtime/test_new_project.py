"""The command `new`: guesses as JSON, a project file, and the life cycle on the table."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.platform.config import Settings
from core.runtime import commands

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    path = tmp_path / "Clientes 2024.csv"
    pd.DataFrame(
        {
            "cliente_id": range(400),
            "idade": rng.integers(18, 90, 400),
            "plano": rng.choice(["a", "b"], 400),
            "criado_em": pd.date_range("2023-01-01", periods=400).strftime("%Y-%m-%d"),
            "evadiu": rng.choice(["Sim", "Não"], 400),
        }
    ).to_csv(path, index=False)
    return path


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setattr(commands.signal, "signal", lambda *_: None)

    def call(*words: object) -> tuple[int, dict[str, Any]]:
        texts = [str(word) for word in words]
        code = commands.main(["new", *texts, "--home", str(settings.home), "--quiet"])
        return code, json.loads(capsys.readouterr().out)

    return call


def test_a_project_is_written_once(settings: Settings, table: Path, run: Run) -> None:
    code, dry = run(table, "--dry-run")
    assert (code, dry["project"]) == (0, "clientes_2024")
    assert not (settings.home / "projects").exists()
    code, report = run(table)
    file = settings.home / "projects" / "clientes_2024" / "project.toml"
    assert (code, report["file"]) == (0, str(file))
    assert file.read_text(encoding="utf-8") == dry["project_file"]
    assert report["guesses"] == dry["guesses"]
    guesses = report["guesses"]
    assert {name: guesses[name]["value"] for name in ("target", "positive", "id", "time")} == {
        "target": "evadiu",
        "positive": "Sim",
        "id": "cliente_id",
        "time": "criado_em",
    }
    assert tomllib.loads(file.read_text(encoding="utf-8"))["features"] == ["idade", "plano"]
    code, again = run(table)
    assert (code, again["status"]) == (1, "refused")
    assert "--name: 'clientes_2024' exists" in again["error"]


def test_a_person_states_what_is_known(table: Path, run: Run) -> None:
    code, report = run(
        *(table, "--target", "plano", "--positive", "b", "--time", "", "--id", "", "--dry-run"),
        *("--current", "evadiu=Sim", "--leave-out", "criado_em", "--name", "planos"),
    )
    assert code == 0
    guesses = report["guesses"]
    assert [guesses[name]["value"] for name in ("target", "positive", "time", "id")] == [
        *("plano", "b"),
        *("", ""),
    ]
    assert guesses["current"]["value"] == {"by": "value", "column": "evadiu", "production": "Sim"}
    assert {out["column"]: out["code"] for out in guesses["left_out"]} == {
        "cliente_id": "identifier",
        "criado_em": "chosen",
    }
    for text, keys in {
        "2023-06-01": {"by": "date", "column": "criado_em", "start": "2023-06-01"},
        "0.2": {"by": "random", "share": 0.2, "seed": 24},
        "labels": {"by": "labels"},
        "none": {"by": "none"},
    }.items():
        _, report = run(table, "--dry-run", "--current", text)
        assert report["guesses"]["current"]["value"] == keys


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--target", "evadiram"], "'evadiram' does not exist"),
        (["--positive", "talvez"], "No row has evadiu = talvez"),
        (["--current", "tomorrow"], "`--current` is a day"),
        (["--name", "Meu projeto"], "cannot be a project's name"),
        (["--name", "kobe"], "--name: 'kobe' exists"),
        (["--id", "plano"], "'plano' has repeated or missing values"),
    ],
    ids=lambda words: " ".join(words),
)
def test_what_is_not_there_is_refused(
    settings: Settings, table: Path, run: Run, words: list[str], fault: str
) -> None:
    code, report = run(table, *words)
    assert (code, report["status"]) == (1, "refused")
    assert fault in report["error"]
    assert not (settings.home / "projects").exists()


def test_yes_runs_the_life_cycle_on_the_table(
    settings: Settings, table: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Settings, str, dict[str, Any]]] = []

    def step(own: Settings, name: str, options: Any, progress: object) -> dict[str, Any]:
        asked.append((own, name, options.model_dump()))
        return {"verdict": "it fits", "verdict_code": "fits"}

    monkeypatch.setattr(commands, "_step", step)
    code, report = run(table, "--yes")
    assert (code, report["verdict_code"]) == (0, "fits")
    assert [name for _, name, _ in asked] == [
        *("acquire", "prepare", "train", "serve", "score", "monitor")
    ]
    own, _, acquire = asked[0]
    assert own.project == "clientes_2024"
    assert own.home == settings.home / "projects" / "clientes_2024"
    # one store for all projects of a home
    assert own.mlflow_uri == settings.mlflow_uri
    assert (acquire["source"], acquire["path"]) == ("file", table)
    asked.clear()
    run(table, "--yes", "--current", "none", "--name", "alone")
    assert [name for _, name, _ in asked] == ["acquire", "prepare", "train", "serve"]
