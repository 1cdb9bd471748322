import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import vl_convert

from core.data import data_charts, profile
from core.platform import project
from core.platform.config import CODE_ROOT
from core.stats import calibration, curves, densities, drift
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts
from core.stats.charts import style


def rows(count=400, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.2, 0.8, count)
    return (rng.random(count) < probability).astype(int), probability


def by_model(table, *models):
    return pd.concat([table.assign(model=model) for model in models], ignore_index=True)


def bins_of(shots, column="shot_distance"):
    bins = profile.describe(shots, project.load("kobe")).bins
    return bins[(bins["column"] == column) & (bins["kind"] == "all")]


def every_chart():
    labels, probability = rows()
    rng = np.random.default_rng(1)
    reference = pd.DataFrame({"lat": rng.normal(size=400), "period": rng.integers(1, 5, 400)})
    current = reference + 1
    models = ("lr", "knn", "tree", "champion")
    shots = pd.DataFrame({"shot_distance": rng.integers(0, 40, 900)})
    shots = shots.assign(shot_made_flag=rng.integers(0, 2, 900), shot_type="2PT Field Goal")
    density = densities.densities(reference, current, ["lat", "period"])
    pairs = pd.DataFrame({"one": ["a", "a", "b", "b"], "other": ["a", "b"] * 2})
    values = pd.DataFrame({"model": models, "value": [0.68, 0.70, 0.69, 0.67]})
    folds = pd.DataFrame(
        {"model": np.repeat(models, 5), "fold": list(range(1, 6)) * 4, "value": rng.random(20)}
    )
    missing = pd.DataFrame({"column": ["made", "lat"], "missing": [40, 0]})
    counts = pd.DataFrame(
        {"set": ["train"] * 2 + ["test"] * 2, "label": ["made", "missed"] * 2, "rows": [4, 6, 1, 9]}
    )
    probabilities = pd.DataFrame(
        {"set": np.repeat(["reference", "current"], 200), "courtside_probability": probability}
    )
    bins = bins_of(shots)
    cells = curves.confusion(labels, probability, 0.5)
    return {
        "class_balance": data_charts.class_balance(counts, positive="made", negative="missed"),
        "rate_by": data_charts.rate_by(
            profile.rates(bins), "middle", rate_title="Made", average=0.5
        ),
        "class_density": data_charts.class_density(
            bins, positive="made", negative="missed", axis_title="Distance (ft)"
        ),
        "slice_bars": data_charts.slice_bars(
            bins, positive="made", negative="missed", axis_title="Distance (ft)"
        ),
        "correlation_map": data_charts.correlation_map(
            pairs.assign(correlation=[1.0, -0.7, -0.7, 1.0])
        ),
        "missing_bars": data_charts.missing_bars(missing, rows=100),
        "roc_curve": model_charts.roc_curve(
            by_model(curves.roc_points(labels, probability), *models)
        ),
        "calibration_curve": model_charts.calibration_curve(
            by_model(calibration.calibration_bins(labels, probability), *models)
        ),
        "confusion": model_charts.confusion(cells, positive="made", negative="missed"),
        "metric_bars": model_charts.metric_bars(
            values, "Log loss", higher_is_better=False, baseline=0.692
        ),
        "cv_spread": model_charts.cv_spread(folds, "Log loss"),
        "probability_density": drift_charts.probability_density(probabilities, threshold=0.5),
        "feature_density": drift_charts.feature_density(density, "lat"),
        "feature_density, values": drift_charts.feature_density(density, "period"),
        "psi_bars": drift_charts.psi_bars(drift.by_feature(reference, current, ["lat", "period"])),
    }


CHARTS = every_chart()


def walk(node):
    """Yield every dictionary inside a specification."""
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from walk(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from walk(inner)


def data_of(chart, layer):
    """Return the table that one layer of a chart draws."""
    spec = chart.to_dict()
    # what all layers share is at the top
    data = spec["layer"][layer].get("data") or spec["data"]
    return pd.DataFrame(spec["datasets"][data["name"]])


def axes(chart):
    for layer in chart.to_dict()["layer"]:
        for channel in ("x", "y"):
            if channel in layer["encoding"]:
                yield layer["encoding"][channel]


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_becomes_a_picture_without_a_page(name):
    svg = vl_convert.vegalite_to_svg(json.dumps(CHARTS[name].to_dict()))

    width = float(re.search(r'<svg[^>]* width="([\d.]+)"', svg)[1])
    assert 600 <= width <= 700
    assert "NaN" not in svg


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_fits_its_container_and_describes_itself(name):
    spec = CHARTS[name].to_dict()

    assert spec["width"] == "container"
    assert 100 <= spec["height"] <= 340
    assert spec["autosize"] == {"type": "fit", "contains": "padding"}
    assert spec["description"]
    assert "title" not in spec


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_has_axis_titles_and_tooltips(name):
    titles = {channel["title"] for channel in axes(CHARTS[name]) if channel.get("title")}

    assert len(titles) >= 2
    assert any(inner.get("tooltip") for inner in walk(CHARTS[name].to_dict()["layer"]))


@pytest.mark.parametrize("name", CHARTS)
def test_no_chart_paints_what_belongs_to_the_theme(name):
    config = CHARTS[name].to_dict()["config"]

    assert "background" not in config
    assert config["axis"] == {"labelColor": "currentColor", "titleColor": "currentColor"}
    assert config["legend"] == config["axis"]


def test_class_balance_shares_add_up():
    table = data_of(CHARTS["class_balance"], 0)

    assert table.groupby("set")["share"].sum().tolist() == pytest.approx([1, 1])
    assert table[table["set"] == "test"].set_index("label")["share"].to_dict() == {
        "made": 0.1,
        "missed": 0.9,
    }


def test_missing_bars_show_columns_with_missing_values_only():
    missing = pd.DataFrame({"column": ["lat", "made", "lon"], "missing": [0, 5, 7]})

    assert data_of(data_charts.missing_bars(missing), 0)["column"].tolist() == ["lon", "made"]


def test_missing_bars_are_drawn_when_nothing_is_missing():
    missing = pd.DataFrame({"column": ["lat", "lon"], "missing": [0, 0]})

    chart = data_charts.missing_bars(missing, rows=10)

    assert data_of(chart, 0)["column"].tolist() == ["lat", "lon"]
    assert vl_convert.vegalite_to_svg(json.dumps(chart.to_dict())).startswith("<svg")


def test_confusion_shares_are_of_the_actual_label():
    table = data_of(CHARTS["confusion"], 0)

    assert table.groupby("actual")["share"].sum().tolist() == pytest.approx([1, 1])


def test_confusion_without_a_class_has_no_nan():
    cells = curves.confusion(np.array([0, 0]), np.array([0.2, 0.3]), 0.5)

    table = data_of(model_charts.confusion(cells, positive="made", negative="missed"), 0)

    assert table["share"].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("higher", "first"), [(True, "knn  0.700"), (False, "lr  0.680")])
def test_metric_bars_put_the_best_model_first_and_begin_at_zero(higher, first):
    values = pd.DataFrame({"model": ["lr", "knn", "nan"], "value": [0.68, 0.70, np.nan]})

    chart = model_charts.metric_bars(values, "ROC AUC", higher_is_better=higher)
    encoding = chart.to_dict()["layer"][0]["encoding"]

    assert encoding["y"]["sort"][0] == first
    assert len(encoding["y"]["sort"]) == 2
    assert encoding["x"].get("scale", {}).get("zero", True)


def test_a_single_fold_has_no_spread():
    folds = pd.DataFrame({"model": ["lr"], "fold": [1], "value": [0.7]})

    means = data_of(model_charts.cv_spread(folds, "Log loss"), 0)

    assert means.loc[0, ["low", "high"]].tolist() == [0.7, 0.7]


def test_densities_are_shares_of_each_set():
    for name in ("probability_density", "feature_density", "feature_density, values"):
        table = data_of(CHARTS[name], 0)
        assert table.groupby("set")["share"].sum().tolist() == pytest.approx([1, 1]), name


def test_a_class_is_shown_by_its_shares_and_in_its_colour():
    chart = CHARTS["class_density"]
    table = data_of(chart, 0)
    assert table.groupby("set")["share"].sum().tolist() == pytest.approx([1, 1])
    scale = chart.to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == ["made", "missed"]
    assert scale["range"] == [style.PALETTE["made"], style.PALETTE["missed"]]


def test_slices_stack_every_row_once():
    table = data_of(CHARTS["slice_bars"], 0)
    assert table["rows"].sum() == 900
    assert set(table["result"]) == {"made", "missed", "rows without a label"}


def test_reference_and_current_keep_their_colours():
    for name in ("probability_density", "feature_density", "feature_density, values"):
        scale = CHARTS[name].to_dict()["layer"][0]["encoding"]["color"]["scale"]
        assert scale["domain"] == ["reference", "current"]
        assert scale["range"] == [style.PALETTE["reference"], style.PALETTE["current"]]


def test_a_single_set_is_drawn_as_current():
    frame = pd.DataFrame({"set": "scored", "courtside_probability": [0.2, 0.4]})

    scale = drift_charts.probability_density(frame).to_dict()["layer"][0]["encoding"]["color"][
        "scale"
    ]

    assert scale["range"] == [style.PALETTE["current"]]


def test_a_constant_feature_is_drawn():
    frame = pd.DataFrame({"x": [1.5] * 10})

    chart = drift_charts.feature_density(densities.densities(frame, frame, ["x"]), "x")

    assert data_of(chart, 0)["share"].tolist() == [1, 1]


def test_psi_bars_read_every_feature_against_the_thresholds():
    table = pd.DataFrame({"feature": ["a", "b", "c", "d"], "psi": [0.0, 8.1, 0.1, 0.2]})

    chart = drift_charts.psi_bars(table, warn=0.1, alert=0.2)
    drawn = data_of(chart, 0).set_index("feature")

    assert drawn["level"].to_dict() == {
        "a": "Stable < 0.1",
        "b": "Changed a lot ≥ 0.2",
        "c": "Changed ≥ 0.1",
        "d": "Changed a lot ≥ 0.2",
    }
    assert (drawn["end"] > 0).all()
    low, high = chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert low > 0
    assert high > 8.1


def test_champion_and_challenger_keep_their_colours():
    labels, probability = rows()
    points = by_model(curves.roc_points(labels, probability), "challenger", "champion")

    scale = model_charts.roc_curve(points).to_dict()["layer"][1]["encoding"]["color"]["scale"]

    assert scale["range"] == [style.PALETTE["challenger"], style.PALETTE["champion"]]


def test_many_rows_of_names_make_a_taller_chart():
    values = pd.DataFrame({"model": [f"m{i}" for i in range(20)], "value": np.linspace(0, 1, 20)})

    chart = model_charts.metric_bars(values, "F1", higher_is_better=True)

    assert chart.to_dict()["height"] > 600


def test_importing_the_charts_does_not_import_altair():
    code = (
        "import sys; from core.projects.kobe import court; from core.data import data_charts; "
        "from core.stats.charts import drift, models; "
        "print('altair' in sys.modules)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CODE_ROOT
    )

    assert completed.stdout.strip() == "False"


def test_models_far_worse_than_the_others_do_not_squash_the_folds():
    folds = pd.DataFrame(
        {
            "model": [name for name in ("lr", "gbm", "knn", "dt") for _fold in range(3)],
            "fold": [1, 2, 3] * 4,
            "value": [0.67, 0.68, 0.69, 0.68, 0.69, 0.7, 2.1, 2.0, 2.2, 13.0, 14.0, 13.5],
        }
    )
    spread, points, mean = model_charts.cv_spread(folds, "Log loss").to_dict()["layer"]
    low, high = points["encoding"]["x"]["scale"]["domain"]
    assert (0.6 < low < 0.67, 0.7 < high < 0.75) == (True, True)
    assert "truncated at" in points["encoding"]["x"]["title"]
    # a layer without it would widen the axis
    for layer in (spread, mean):
        assert layer["encoding"]["x"]["scale"]["domain"] == [low, high]
    close = model_charts.cv_spread(folds[folds["value"] < 1], "Log loss").to_dict()["layer"][1]
    assert "domain" not in close["encoding"]["x"]["scale"]
