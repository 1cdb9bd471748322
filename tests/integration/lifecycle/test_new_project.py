"""The guide's second project: its file is loaded and its code is run, exactly as printed there."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.platform import project, storage, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.project import ProjectSpec

GUIDE = (CODE_ROOT / "docs" / "guide" / "new-project.md").read_text("utf-8")
REFERENCE = (CODE_ROOT / "docs" / "reference.md").read_text("utf-8")


def block(language: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert len(blocks) == 1, f"{len(blocks)} blocks of {language}"
    return blocks[0]


def parcels(rows: int = 600) -> pd.DataFrame:
    """Return seeded parcels: distant ones with many stops arrive late."""
    rng = np.random.default_rng(7)
    stops, distance = rng.integers(0, 9, rows), rng.integers(20, 1500, rows)
    odds = (distance - 700) / 300 + (stops - 4) / 2
    late = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    # in transit
    late[::20] = np.nan
    return pd.DataFrame(
        {
            "parcel": np.arange(1, rows + 1),
            "day": pd.date_range("2025-03-01", periods=rows).strftime("%Y-%m-%d"),
            "depot": rng.choice(["north", "south", "west"], rows),
            "way": np.where(np.arange(rows) % 4 == 3, "air", "road"),
            "service": rng.choice(["standard", "express"], rows),
            "weight": rng.gamma(2, 3, rows).clip(0.1, 40).round(1),
            "distance_km": distance,
            "stops": stops,
            "late": late,
        }
    )


@pytest.fixture
def added() -> ProjectSpec:
    """The guide's file."""
    return project.parse(block("toml"))


def test_the_rows_shown_match_the_file(added: ProjectSpec) -> None:
    shown = pd.read_csv(io.StringIO(block("csv")))
    assert set(shown.columns) == set(added.columns)
    assert {added.rows.development, added.rows.production} == set(shown[added.rows.column])
    # the last one is in transit
    assert shown[added.target].isna().tolist() == [False, False, False, True]


def test_its_code_prepares_a_frame(
    tmp_path: Path, store_template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = parcels()
    rows.to_csv(tmp_path / "parcels.csv", index=False)
    (tmp_path / "parcels.toml").write_text(block("toml"), encoding="utf-8")
    home = tmp_path / "parcels"
    home.mkdir()
    (home / "mlflow.db").write_bytes(store_template.read_bytes())
    code = block("python")
    assert code.count("/tmp/parcels") == 3
    exec(code.replace("/tmp/parcels", (tmp_path / "parcels").as_posix()), {})

    road = rows[(rows["way"] == "road") & rows["late"].notna()]
    test = round(0.25 * len(road))
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed == f"{len(road) - test} rows to train on, {test} to test on"
    settings = Settings(home=home, project="parcels")
    assert settings.home == home / "projects" / "parcels"
    prepared = storage.current_prepared(settings)
    assert prepared is not None
    # the source's own name is mapped to the project's
    assert prepared.inputs == ("weight_kg", "distance_km", "stops", "service")
    run = tracking.last_run(settings, "prepare")
    assert run is not None
    assert run.tags["courtside.project"] == "parcels"


@pytest.mark.parametrize("part", sorted({*ProjectSpec.model_fields} - {"name", "columns"}))
def test_every_part_of_a_file_is_documented(part: str) -> None:
    table = REFERENCE[REFERENCE.index("## The project file") :]
    table = table[: table.index("\n## ")]
    assert re.search(rf"`(\[+)?{part}(\]+)?`", table), part
