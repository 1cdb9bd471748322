import itertools
import json
import tomllib

import altair as alt
import numpy as np
import pandas as pd
import pytest
from altair.utils.schemapi import SchemaValidationError

from core.platform.config import CODE_ROOT
from core.stats.charts import style

CONFIG = CODE_ROOT / ".streamlit" / "config.toml"


def linear(colour):
    share = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def contrast(first, second):
    """Return the contrast of two colours as WCAG 2.2 defines it."""
    low, high = sorted(
        float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (first, second)
    )
    return (high + 0.05) / (low + 0.05)


# Machado, Oliveira and Fernandes (2009), full strength: linear RGB as each kind of reader sees it
VISIONS = {
    "all cones": np.eye(3),
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def distance(first, second, vision):
    """Return the perceived distance of two colours in Oklab, 1 from black to white."""
    to_cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    to_lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    perceived = [
        np.array(to_lab) @ np.cbrt(np.array(to_cones) @ np.clip(np.array(vision) @ linear(c), 0, 1))
        for c in (first, second)
    ]
    return float(np.linalg.norm(perceived[0] - perceived[1]))


def theme():
    return tomllib.loads(CONFIG.read_text(encoding="utf-8"))["theme"]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("role", sorted(set(style.PALETTE) - {"average"}))
def test_marks_stand_out_on_both_backgrounds(mode, role):
    assert contrast(style.PALETTE[role], theme()[mode]["backgroundColor"]) >= 3


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(
    "pair",
    [("made", "missed"), ("current", "reference"), ("challenger", "champion"), ("above", "below")],
)
def test_pairs_differ_for_every_reader(pair, vision):
    first, second = (style.PALETTE[role] for role in pair)

    assert distance(first, second, VISIONS[vision]) > 0.2


@pytest.mark.parametrize("vision", VISIONS)
def test_readings_differ_for_every_reader(vision):
    readings = [style.PALETTE[role] for role in ("ok", "warning", "alert")]

    for first, second in itertools.combinations(readings, 2):
        assert distance(first, second, VISIONS[vision]) > 0.07


def test_white_text_is_legible_on_the_bars_that_carry_it():
    for role in ("accent", "made", "missed", "cool"):
        assert contrast(style.PALETTE[role], "#FFFFFF") >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_theme_is_legible(mode):
    colours = theme()[mode]

    for background in (colours["backgroundColor"], colours["secondaryBackgroundColor"]):
        assert contrast(colours["textColor"], background) >= 7
        assert contrast(colours["linkColor"], background) >= 4.5
        assert contrast(colours["primaryColor"], background) >= 3
    assert contrast(colours["primaryColor"], "#FFFFFF") >= 4.5


def test_pages_and_charts_share_their_colours():
    assert theme()["chartCategoricalColors"] == list(style.CATEGORIES)


def test_the_app_listens_on_this_machine_only_and_fetches_nothing():
    config = tomllib.loads(CONFIG.read_text(encoding="utf-8"))

    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["enableXsrfProtection"]
    assert "headless" not in config["server"]
    assert not config["browser"]["gatherUsageStats"]
    assert "http" not in json.dumps(config)


def test_a_chart_that_is_no_vega_lite_is_refused_where_charts_are_checked():
    wrong = style.finish([alt.Chart(pd.DataFrame({"x": [1]})).mark_bar().encode(x="x:Q")])
    wrong.height = "tall"

    with pytest.raises(SchemaValidationError, match="tall"):
        wrong.to_dict()
