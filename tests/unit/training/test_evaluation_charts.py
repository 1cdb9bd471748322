"""Charts of an evaluation: each becomes a picture, and shows what its table says."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import vl_convert

from core.platform.config import CODE_ROOT
from core.projects.kobe import court, half_court
from core.stats import comparison, curves, metrics, slices, thresholds
from core.stats.charts import style
from core.training import evaluation_charts

MODELS = ("lr", "knn", "tree", "champion")


def draw(rows=600, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.2, 0.8, rows)
    frame = pd.DataFrame(
        {
            "season": rng.choice(["1999-00", "2000-01", "2001-02"], rows),
            "distance": rng.integers(0, 40, rows),
        }
    )
    return frame, (rng.random(rows) < probability).astype(int), probability


def by_model(table, *models):
    return pd.concat([table.assign(model=model) for model in models], ignore_index=True)


def every_chart():
    frame, labels, probability = draw()
    shifted = np.where(frame["season"] == "1999-00", probability + 0.2, probability)
    learning = pd.DataFrame(
        {"rows": [100, 500, 900] * 2, "set": ["train"] * 3 + ["validation"] * 3, "mean": 0.6}
    )
    others = {"lr": probability, "dummy": np.full(600, 0.5), "sure": np.round(probability)}
    return {
        "pr_curve": evaluation_charts.pr_curve(
            by_model(curves.pr_points(labels, probability), *MODELS), base_rate=0.5
        ),
        "gain_curve": evaluation_charts.gain_curve(
            by_model(curves.gain_points(labels, probability), *MODELS)
        ),
        "threshold_trade_off": evaluation_charts.threshold_trade_off(
            thresholds.trade_off(labels, probability), 0.45
        ),
        "learning_curve": evaluation_charts.learning_curve(
            learning.assign(low=0.58, high=0.62), "Log loss"
        ),
        "slice_gaps": evaluation_charts.slice_gaps(
            slices.by_slice(frame, labels, shifted, ["season", "distance"], 0.5)
        ),
        "paired_differences, metrics": evaluation_charts.paired_differences(
            comparison.paired(labels, probability, shifted, 0.5, 0.5),
            by="metric",
            first="challenger",
            second="champion",
        ),
        "paired_differences, models": evaluation_charts.paired_differences(
            comparison.against_best(labels, others, "lr"), by="model", first="model", second="best"
        ),
    }


CHARTS = every_chart()


def walk(node):
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from walk(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from walk(inner)


def data_of(chart, layer):
    spec = chart.to_dict()
    data = spec["layer"][layer].get("data") or spec["data"]
    return pd.DataFrame(spec["datasets"][data["name"]])


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_becomes_a_picture_without_a_page(name):
    svg = vl_convert.vegalite_to_svg(json.dumps(CHARTS[name].to_dict()))

    width = float(re.search(r'<svg[^>]* width="([\d.]+)"', svg)[1])
    assert 600 <= width <= 700
    assert "NaN" not in svg


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_fits_its_container_and_describes_itself(name):
    spec = CHARTS[name].to_dict()
    titles = {
        layer["encoding"][channel].get("title")
        for layer in spec["layer"]
        for channel in ("x", "y")
        if channel in layer["encoding"]
    }

    assert spec["width"] == "container"
    assert spec["description"]
    assert "title" not in spec
    assert len(titles - {None}) >= 2
    assert any(inner.get("tooltip") for inner in walk(spec["layer"]))
    assert "background" not in spec["config"]


def test_the_area_under_the_pr_curve_as_drawn_is_the_average_precision():
    chart = CHARTS["pr_curve"]
    line = data_of(chart, 1).query("model == 'lr'").sort_values("recall", kind="stable")
    _, labels, probability = draw()

    assert chart.to_dict()["layer"][1]["mark"]["interpolate"] == "step-before"
    # a step takes the precision of its right end: of equal recalls, the first in order
    area = np.sum(np.diff(line["recall"]) * line["precision"].to_numpy()[1:])
    expected = metrics.classification(labels, probability, 0.5)["average_precision"]
    assert area == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("pr_curve", "Base rate: 50.0%"), ("threshold_trade_off", "Threshold: 0.450")],
)
def test_a_rule_stands_in_the_legend_without_taking_the_dashes_of_the_lines(name, rule):
    layers = CHARTS[name].to_dict()["layer"]
    scales = [layer["encoding"]["strokeDash"]["scale"] for layer in layers]

    assert scales[0] == scales[1]
    dashes = dict(zip(scales[0]["domain"], map(tuple, scales[0]["range"]), strict=True))
    assert list(dashes)[-1] == rule
    assert (1, 0) in dashes.values()
    svg = vl_convert.vegalite_to_svg(json.dumps(CHARTS[name].to_dict()))
    assert svg.count(f">{rule}<") == 1


def test_champion_and_challenger_keep_their_colours():
    _, labels, probability = draw()
    points = by_model(curves.gain_points(labels, probability), "challenger", "champion")

    scale = evaluation_charts.gain_curve(points).to_dict()["layer"][1]["encoding"]["color"]["scale"]

    assert scale["range"] == [style.PALETTE["challenger"], style.PALETTE["champion"]]


def test_curves_without_points_are_drawn():
    nothing = by_model(curves.pr_points(np.zeros(3, dtype=int), np.ones(3)), "lr")
    for chart in (
        evaluation_charts.pr_curve(nothing, base_rate=0.0),
        evaluation_charts.gain_curve(nothing.assign(share_rows=0.0, share_found=0.0)),
    ):
        assert vl_convert.vegalite_to_svg(json.dumps(chart.to_dict())).startswith("<svg")


def test_the_trade_off_leaves_out_what_does_not_exist():
    table = data_of(CHARTS["threshold_trade_off"], 0)

    assert set(table["figure"]) == {"Precision", "Recall", "F1"}
    assert table["value"].notna().all()
    assert table.query("figure == 'Precision'")["threshold"].max() < 0.81
    assert table.query("figure == 'Recall'")["threshold"].max() == 1


def test_a_forecast_outside_the_interval_of_the_observed_is_a_gap_beyond_chance():
    table = data_of(CHARTS["slice_gaps"], 0)
    beyond = (table["low"] > 0) | (table["high"] < 0)
    outside = (table["mean_probability"] < table["observed_low"]) | (
        table["mean_probability"] > table["observed_high"]
    )

    assert beyond.any()
    assert not beyond.all()
    assert (beyond == outside).all()
    assert table["base_rate"].between(table["observed_low"], table["observed_high"]).all()


def test_flagged_slices_have_the_colour_of_their_finding():
    scale = CHARTS["slice_gaps"].to_dict()["layer"][0]["encoding"]["color"]["scale"]
    colours = dict(zip(scale["domain"], scale["range"], strict=True))

    assert colours == {"biased": style.PALETTE["alert"], "ok": style.PALETTE["cool"]}


def test_only_the_worst_slices_are_drawn_and_those_without_rows_are_not():
    frame, labels, probability = draw()
    some = np.where(frame["season"] == "1999-00", np.nan, labels)
    table = slices.by_slice(frame, some, probability, ["season", "distance"], 0.5)

    chart = evaluation_charts.slice_gaps(table, most=3)

    assert data_of(chart, 0)["value"].tolist() == table["value"].head(3).tolist()
    every = data_of(evaluation_charts.slice_gaps(table), 0)
    assert "1999-00" not in set(every["value"])
    assert vl_convert.vegalite_to_svg(
        json.dumps(evaluation_charts.slice_gaps(table.head(0)).to_dict())
    ).startswith("<svg")


def test_differences_are_coloured_by_who_is_better():
    table = pd.DataFrame(
        {
            "metric": ["log_loss", "roc_auc", "f1"],
            "difference": [-0.02, -0.03, 0.0],
            "low": [-0.03, -0.04, -0.1],
            "high": [-0.01, -0.02, 0.1],
            "better": ["one", "other", "alike"],
        }
    )

    chart = evaluation_charts.paired_differences(table, by="metric", first="new", second="old")

    shown = data_of(chart, 1)
    assert shown["meaning"].tolist() == ["new is better", "old is better", "may be chance"]
    assert shown["shown"].tolist()[:2] == ["Log loss  -0.0200", "ROC AUC  -0.0300"]
    assert "scale" not in chart.to_dict()["layer"][1]["encoding"]["x"]
    rule = data_of(chart, 0)
    assert rule["value"].tolist() == [0.0]


def test_a_model_that_is_far_worse_does_not_squeeze_the_others():
    table = pd.DataFrame(
        {
            "model": ["a", "tree"],
            "difference": [0.002, 13.0],
            "low": [-0.001, 12.0],
            "high": [0.006, 14.0],
            "better": ["alike", "best"],
        }
    )
    drawing = {"by": "model", "first": "model", "second": "best"}

    x = evaluation_charts.paired_differences(table, **drawing).to_dict()["layer"][2]["encoding"][
        "x"
    ]
    near = evaluation_charts.paired_differences(table.head(1), **drawing).to_dict()

    assert x["scale"]["clamp"]
    assert x["scale"]["domain"][0] < -0.001
    assert x["scale"]["domain"][1] == pytest.approx(0.06)
    assert "truncated at 0.06" in x["title"]
    assert "scale" not in near["layer"][2]["encoding"]["x"]


def test_no_other_models_are_drawn_as_none():
    alone = comparison.against_best(np.array([0, 1]), {"a": np.array([0.4, 0.6])}, "a")
    chart = evaluation_charts.paired_differences(alone, by="model", first="model", second="best")

    assert vl_convert.vegalite_to_svg(json.dumps(chart.to_dict())).startswith("<svg")


def shots(rows=12_000, seed=3):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.uniform(-240, 240, rows), "y": rng.uniform(-40, 500, rows)})
    truth = rng.uniform(0.3, 0.6, rows)
    labels = (rng.random(rows) < truth).astype(float)
    return frame.assign(made=labels, p=np.where(frame["x"] > 0, truth + 0.3, truth))


def test_residuals_of_a_hexagon_are_forecast_minus_made():
    frame = shots()
    frame.loc[::10, "made"] = np.nan

    bins = court.residual_cells(frame, "x", "y", "made", "p")

    assert bins["shots"].sum() == (frame["made"].notna() & (frame["y"] <= half_court.HALF)).sum()
    gathered = court.gather(
        court.cells(frame.dropna(), "x", "y", "made", size=court.RESIDUAL_SIZE), min_labels=1
    )
    assert bins["made_rate"].tolist() == pytest.approx(gathered["make_rate"].tolist())
    residual = bins["mean_probability"] - bins["made_rate"]
    assert (bins["residual"].isna() == (bins["shots"] < court.RESIDUAL_LABELS)).all()
    has_residual = bins["residual"].notna()
    assert bins.loc[has_residual, "residual"].tolist() == pytest.approx(
        residual[has_residual].tolist()
    )
    weights = bins.loc[has_residual, "shots"]
    for side, expected in ((bins["x"] > 20, 0.3), (bins["x"] < -20, 0.0)):
        mean = np.average(bins.loc[has_residual & side, "residual"], weights=weights[side])
        assert mean == pytest.approx(expected, abs=0.04)


def test_the_residual_chart_is_grey_where_forecast_and_made_agree():
    bins = court.residual_cells(shots(), "x", "y", "made", "p")

    spec = court.residual_chart(bins).to_dict()
    solid, hollow = spec["layer"][:2]

    domain, colours = (solid["encoding"]["color"]["scale"][part] for part in ("domain", "range"))
    assert domain == [-court.RESIDUAL_SPAN, 0, court.RESIDUAL_SPAN]
    assert colours[1] == style.PALETTE["average"]
    assert (solid["mark"]["filled"], hollow["mark"]["filled"]) == (True, False)
    assert spec["height"] / spec["width"] == pytest.approx(470 / 500, abs=0.002)
    assert vl_convert.vegalite_to_svg(json.dumps(spec)).startswith("<svg")


def test_a_court_without_labels_is_drawn():
    bins = court.residual_cells(shots(20).assign(made=np.nan), "x", "y", "made", "p")

    assert bins.empty
    svg = vl_convert.vegalite_to_svg(json.dumps(court.residual_chart(bins).to_dict()))
    assert svg.startswith("<svg")


def test_importing_the_evaluation_does_not_import_heavy_libraries():
    code = (
        "import sys; from core.stats import comparison, slices, thresholds; "
        "from core.training import evaluation_charts; "
        "print([name for name in ('altair', 'sklearn', 'scipy') if name in sys.modules])"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CODE_ROOT
    )

    assert completed.stdout.strip() == "[]"
