"""Rows by place: every row is in one cell, whatever the coordinates hold."""

import numpy as np
import pandas as pd
import pytest

from core.stats import places
from core.stats.charts import places as place_charts


def test_every_row_is_in_one_cell_of_its_set():
    rng = np.random.default_rng(3)
    x, y = rng.normal(0, 1, 5000), rng.normal(50, 9, 5000)
    x[:40] = np.nan
    x[40], y[41] = 1e9, -1e9
    label = np.where(rng.random(5000) < 0.3, 1.0, 0.0)
    label[::7] = np.nan
    first = np.arange(5000) < 3000
    table = places.cells(x, y, label, {"reference": first, "current": ~first})
    rows = table.groupby("set")[["rows", "labelled", "positive"]].sum()
    assert rows["rows"].to_dict() == {"reference": 3000, "current": 2000}
    assert rows["labelled"].sum() == np.isfinite(label).sum()
    assert rows["positive"].sum() == np.nansum(label)
    # the missing ones, and the two that are far from all others
    assert places.without_place(table) == 42
    assert table["x"].abs().max() < 10


@pytest.mark.parametrize(
    ("x", "y"),
    [([None] * 3, [1.0] * 3), ([2.0] * 3, [1.0] * 3), ([np.inf, 1, 2], [1, 1, 1]), ([], [])],
)
def test_places_that_do_not_vary_or_do_not_exist(x, y):
    sets = {"reference": np.ones(len(x), dtype=bool)}
    table = places.cells(np.array(x, dtype=float), np.array(y, dtype=float), np.ones(len(x)), sets)
    assert table["rows"].sum() == len(x)
    assert len(places.with_rates(table)) <= 2


def test_errors_are_known_where_labels_are_many():
    x = np.r_[np.zeros(100), np.full(10, 9.0)]
    table = places.errors(x, x, np.zeros(110), np.full(110, 0.2))
    assert table["rows"].tolist() == [100, 10]
    assert table["difference"].round(6).tolist()[0] == 0.2
    assert np.isnan(table["difference"].tolist()[1])


def test_maps_that_are_compared_have_the_same_colours_and_axes():
    cells = pd.DataFrame(
        {"x": [0.0, 5.0], "y": [1.0, 2.0], "rows": 50, "labelled": 50, "positive": [5, 45]}
    ).assign(rate=lambda table: table["positive"] / table["labelled"])
    drawn = [
        place_charts.rates(
            part, average=0.4, reach=0.2, axes=("lon", "lat"), ends=cells, rate_title="Late"
        ).to_dict()["layer"][0]["encoding"]
        for part in (cells.head(1), cells.tail(1))
    ]
    for channel in ("x", "y", "color"):
        assert drawn[0][channel]["scale"] == drawn[1][channel]["scale"]
    assert drawn[0]["color"]["scale"]["domain"] == pytest.approx([0.2, 0.4, 0.6])


def test_a_map_without_labels_shows_rows():
    cells = pd.DataFrame({"x": [0.0], "y": [1.0], "rows": [9], "labelled": [0], "rate": [np.nan]})
    chart = place_charts.rates(
        cells, average=None, reach=0.1, axes=("x", "y"), ends=cells, rate_title="Late"
    )
    assert "color" not in chart.to_dict()["layer"][0]["encoding"]
