"""The project file: contradictions are refused, and another project is found in its folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.platform import messages, project
from core.platform.config import CODE_ROOT
from core.platform.errors import InputError
from core.platform.project_parts import Rows

RAIN = (CODE_ROOT / "tests" / "rain.toml").read_text(encoding="utf-8")
COURT = '[court]\ntitle = "Where"\nx = "date"\ny = "pressure"\n\n[rows]'
FEATURES = 'features = ["pressure", "humidity"]'


@pytest.mark.parametrize(
    ("text", "replacement", "words"),
    [
        (FEATURES, 'features = ["pressure", "rained"]', "features and target must differ: rained"),
        (FEATURES, 'features = ["day"]', "features and id must differ: day"),
        (FEATURES, 'features = ["pressure", "pressure"]', "used more than once: pressure"),
        (
            'column = "place"',
            'by = "date"\ncolumn = "date"\nstart = "soon"',
            "date must be of type date",
        ),
        ('production = "hills"', 'production = "coast"', "development and production must differ"),
        ('negative = "dry"', 'negative = "wet"', "positive and negative must differ: wet"),
        ("min = 900", "min = 1200", "`min = 1200` must not be above `max = 1100`"),
        ("[rows]", COURT, "date and pressure must be of type number"),
        ("[rows]", COURT.replace("date", "wind"), "not in [columns]: wind"),
        ("[rows]", COURT.replace("court", "place"), "date and pressure must be of type number"),
        (
            "[rows]",
            '[place]\nx = "pressure"\ny = "pressure"\n\n[rows]',
            "used more than once: pressure",
        ),
        (FEATURES, FEATURES + '\nicon = "rain"', "icon: use a form like"),
        (FEATURES, FEATURES + '\nseason = "date"', "season"),
        (
            FEATURES,
            FEATURES + '\nmissing_values = ["n/d", "-999"]',
            "a number cannot mark a missing value: -999",
        ),
        (FEATURES, FEATURES + "\nmissing_values = [-999]", "missing_values"),
        ("[rows]", '[sample]\ntables = "rain.json"\n\n[rows]', "sample.about"),
    ],
)
def test_a_project_file_that_contradicts_itself_is_refused(
    text: str, replacement: str, words: str, tmp_path: Path
) -> None:
    assert RAIN.count(text) == 1
    (tmp_path / "rain.toml").write_text(RAIN.replace(text, replacement), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        project.load("rain", tmp_path)
    message = str(caught.value)
    match = re.fullmatch(r"The project file rain.toml cannot be used in line (\d+): .*", message)
    assert match is not None, message
    # the line that was changed, or one of them
    changed = RAIN.replace(text, replacement).splitlines()
    assert changed[int(match[1]) - 1] not in RAIN.splitlines()
    assert words in message
    # a sentence and not the whole file
    assert len(message) < 200
    assert message.endswith(".")
    assert "value error" not in message.lower()


def test_a_project_is_looked_for_where_the_folder_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kobe = project.load("kobe")
    assert project.load("kobe") is kobe
    monkeypatch.setattr(project, "FOLDER", tmp_path)
    with pytest.raises(InputError, match="'kobe' does not exist"):
        project.load("kobe")
    (tmp_path / "rain.toml").write_text(RAIN, encoding="utf-8")
    assert project.load("rain").target == "rained"
    with pytest.raises(InputError, match="has no built-in sample"):
        project.sample_tables("rain")
    monkeypatch.undo()
    assert project.load("kobe") is kobe
    assert project.sample_tables("kobe") is project.sample_tables("kobe")


def test_a_project_with_code_of_its_own_has_its_file_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "rain").mkdir()
    sample = '[sample]\nabout = "Days."\ntables = "days.json"\n\n[rows]'
    text = RAIN.replace("[rows]", sample)
    (tmp_path / "rain" / "project.toml").write_text(text, encoding="utf-8")
    (tmp_path / "rain" / "days.json").write_text('{"days": 3}', encoding="utf-8")
    assert project.load("rain", tmp_path).target == "rained"
    # its tables are in the same folder
    assert project.sample_tables("rain", tmp_path) == {"days": 3}
    (tmp_path / "snow.toml").write_text("name =", encoding="utf-8")
    with pytest.raises(InputError, match=r"'hail' does not exist\. Choose from: rain and snow\."):
        project.load("hail", tmp_path)
    (tmp_path / "sun").mkdir()
    (tmp_path / "sun" / "project.toml").write_text("name =", encoding="utf-8")
    with pytest.raises(InputError, match=r"sun/project\.toml cannot be used"):
        project.load("sun", tmp_path)


@pytest.mark.parametrize(
    ("keys", "reference", "current"),
    [
        (
            {"by": "date", "of": "day", "start": "2025-06-01"},
            "linhas anteriores a 01/06/2025",
            "linhas a partir de 01/06/2025",
        ),
        (
            {"by": "date", "of": "year", "start": 2008},
            "linhas anteriores a 2008",
            "linhas a partir de 2008",
        ),
        ({"by": "random", "share": 0.3}, "outras linhas", "uma amostra aleatória de 30%"),
        (
            {"by": "value", "of": "way", "production_values": ("air",)},
            "linhas com outro valor de way",
            "linhas com way = air",
        ),
        (
            {"by": "date", "of": "day", "start": "2025-06-01", "production_name": "June"},
            "linhas anteriores a 01/06/2025",
            "June",
        ),
    ],
)
def test_rows_are_called_by_how_they_are_chosen(
    keys: dict[str, object], reference: str, current: str
) -> None:
    rows = Rows(**keys)
    with messages.speaking("pt"):
        assert (str(rows.reference_rows), str(rows.current_rows)) == (reference, current)


def test_sets_prepared_under_a_former_title_of_the_features_stay_valid() -> None:
    spec = project.load("kobe")
    before = {"features_title": spec.former_features_title, "former_features_title": ""}
    assert spec.features_title != spec.former_features_title
    assert spec.model_copy(update=before).digest == spec.digest
    assert spec.model_copy(update={"former_features_title": ""}).digest != spec.digest
