"""A second project is a second file: every page serves it, and none speaks of the first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core import project
from core.adapters import storage, tracking
from core.config import Settings
from core.errors import NotReadyError
from core.steps import acquire, monitor, prepare, train

PAGES = ("overview", "prepare", "train", "serve", "score", "monitor", "runs")
RAIN = Path(__file__).resolve().parents[1] / "rain.toml"


@pytest.fixture
def rain(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "rain.toml").write_bytes(RAIN.read_bytes())
    monkeypatch.setattr(project, "FOLDER", tmp_path / "projects")
    return settings.model_copy(update={"project": "rain"})


def days(spec: project.ProjectSpec, count: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        {
            name: rng.integers(int(column.min or 0), int(column.max or 100), count)
            for name, column in spec.columns.items()
        }
    )
    frame[spec.id] = np.arange(count)
    frame[spec.time] = "2020-01-01"
    frame[spec.rows.column] = np.where(
        rng.uniform(size=count) < 0.8, spec.rows.development, spec.rows.production
    )
    frame[spec.target] = rng.integers(0, 2, count)
    return frame


def no_word_of_the_first(text: str) -> bool:
    return not any(word in text.lower() for word in ("shot", "kobe", "2-point", "3-point"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_an_empty_second_project_is_its_own(
    page: str, rain: Settings, open_page: Callable, text_of: Callable
) -> None:
    app = open_page(rain, page)
    assert not app.exception
    assert no_word_of_the_first(text_of(app))
    if page == "prepare":
        assert "Built-in sample" not in app.segmented_control(key="source").options


def test_a_second_project_is_taken_through_the_steps_and_shown_on_every_page(
    rain: Settings, tmp_path: Path, open_page: Callable, text_of: Callable
) -> None:
    spec = project.load("rain")
    days(spec).to_csv(tmp_path / "days.csv", index=False)
    acquire.run(rain, acquire.Options(source="file", path=tmp_path / "days.csv"))
    prepared = prepare.run(rain, prepare.Options())
    assert prepared.columns == len(spec.features) + 1
    trained = train.run(rain, train.Options(candidates=("lr",), folds=3))
    assert trained.aliases == ("challenger", "champion")
    version = tracking.require_version(rain, spec.model, "champion")
    assert (version.name, version.threshold) == (spec.model, spec.threshold)
    with pytest.raises(NotReadyError, match="Nothing was scored yet"):
        monitor.run(rain, monitor.Options())
    assert storage.current_raw(rain) is not None
    for page in PAGES:
        app = open_page(rain, page)
        assert not app.exception, page
        assert not app.error, page
        assert no_word_of_the_first(text_of(app)), page
