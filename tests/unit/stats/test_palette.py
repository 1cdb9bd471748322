"""Colours shown together differ for every reader, by CIEDE2000, and none carries meaning alone.

`test_style.py` holds the same pairs in Oklab and the contrast to both backgrounds: what two
formulas agree on is not an accident of one of them.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from core.stats.charts import style
from tests.unit.stats import test_charts
from tests.unit.stats.test_style import VISIONS, contrast, linear, theme
from tests.unit.training import test_evaluation_charts

TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
WHITE = np.array([0.9505, 1.0, 1.089])


def lab(colour: str, vision: object) -> np.ndarray:
    """Return a colour in CIELAB as a kind of reader sees it."""
    perceived = np.clip(np.array(vision) @ linear(colour), 0, 1)
    share = np.array(TO_XYZ) @ perceived / WHITE
    cube = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    return np.array([116 * cube[1] - 16, 500 * (cube[0] - cube[1]), 200 * (cube[1] - cube[2])])


def ciede2000(first: np.ndarray, second: np.ndarray) -> float:
    """Return the difference of two colours in CIELAB (Sharma, Wu and Dalal, 2005)."""
    lightness, a, b = np.stack([first, second], axis=1)
    mean = np.hypot(a, b).mean() ** 7
    a = a * (1.5 - 0.5 * np.sqrt(mean / (mean + 25.0**7)))
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    turn = (hue[1] - hue[0] + 180) % 360 - 180 if chroma.prod() else 0.0
    d_hue = 2 * np.sqrt(chroma.prod()) * np.sin(np.radians(turn) / 2)
    middle = hue.sum() if not chroma.prod() else (hue[0] + turn / 2) % 360
    light, strong = lightness.mean(), chroma.mean()
    weight = 1 + sum(
        share * np.cos(np.radians(times * middle + angle))
        for share, times, angle in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    )
    by_light = np.diff(lightness)[0] / (
        1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    )
    by_chroma = np.diff(chroma)[0] / (1 + 0.045 * strong)
    by_hue = d_hue / (1 + 0.015 * strong * weight)
    rotation = (
        -2
        * np.sqrt(strong**7 / (strong**7 + 25.0**7))
        * np.sin(np.radians(60 * np.exp(-(((middle - 275) / 25) ** 2))))
    )
    return float(np.sqrt(by_light**2 + by_chroma**2 + by_hue**2 + rotation * by_chroma * by_hue))


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        # pairs 1, 7, 16 and 25 of the paper's table of test data
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_the_difference_is_that_of_the_paper(first, second, difference) -> None:
    assert ciede2000(np.array(first), np.array(second)) == pytest.approx(difference, abs=1e-4)


# pairs shown in one chart -> the least difference: 2.3 is just noticed side by side
SHOWN_TOGETHER = {
    ("made", "missed"): 20,
    ("current", "reference"): 20,
    ("challenger", "champion"): 20,
    ("above", "below"): 20,
    ("above", "average"): 15,
    ("average", "below"): 15,
    ("accent", "neutral"): 10,
    ("cool", "neutral"): 7,
    ("ok", "warning"): 7,
    ("warning", "alert"): 7,
    ("ok", "alert"): 10,
}


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(("role", "other_role"), SHOWN_TOGETHER)
def test_colours_shown_together_differ_for_every_reader(
    role: str, other_role: str, vision: str
) -> None:
    first, second = (lab(style.PALETTE[name], VISIONS[vision]) for name in (role, other_role))
    assert ciede2000(first, second) > SHOWN_TOGETHER[role, other_role]


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_three_models_differ_by_colour_and_the_others_by_their_dashes(
    vision: str,
) -> None:
    colours = [lab(colour, VISIONS[vision]) for colour in style.CATEGORIES[:3]]
    for first, second in itertools.combinations(colours, 2):
        assert ciede2000(first, second) > 10
    spec = test_charts.CHARTS["roc_curve"].to_dict()
    [kinds] = [
        layer["encoding"]["strokeDash"]["scale"]["range"]
        for layer in spec["layer"]
        if "model" in str(layer["encoding"].get("strokeDash", {}).get("field"))
    ]
    assert kinds[3] not in kinds[:3]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("colour", style.CATEGORIES)
def test_models_stand_out_on_both_backgrounds(colour: str, mode: str) -> None:
    assert contrast(colour, theme()[mode]["backgroundColor"]) >= 3


CHARTS = {**test_charts.CHARTS, **test_evaluation_charts.CHARTS}
# chart -> what carries the meaning besides the colour, where it is not a channel of the same field
OTHERWISE = {
    "class_balance": "the parts of a bar stand in the order of the legend, with their shares",
    "slice_bars": "the parts of a bar stand in the order of the legend",
    "psi_bars": "the lines of the limits are drawn, and a bar ends before or behind them",
}


@pytest.mark.parametrize("name", CHARTS)
def test_no_chart_relies_on_colour_alone(name: str) -> None:
    spec = CHARTS[name].to_dict()
    coloured, coded_otherwise = set(), set()
    for layer in spec["layer"]:
        channels = {**spec.get("encoding", {}), **layer["encoding"]}
        for channel, encoding in channels.items():
            if not isinstance(encoding, dict) or encoding.get("type") != "nominal":
                continue
            field = encoding["field"]
            if channel in ("color", "stroke", "fill"):
                coloured.add(field)
            elif channel in ("strokeDash", "shape", "x", "y", "xOffset", "yOffset", "text"):
                coded_otherwise.add(field)
    assert coloured - coded_otherwise == ({*coloured} if name in OTHERWISE else set())
