import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import vl_convert

from core.platform import messages
from core.platform.config import CODE_ROOT
from core.platform.messages import Message
from core.stats.charts import style
from core.training import explanation, shap_values
from core.training import explanation_charts as charts


def long_table(rows=40, features=5, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(features - 1)]
    frame = pd.DataFrame(rng.normal(size=(rows, features - 1)), columns=names)
    frame = frame.assign(side=rng.choice(["left", "right"], rows))
    values = pd.DataFrame(rng.normal(0, 0.05, (rows, features)), columns=frame.columns)
    contributions = shap_values.Contributions(0.4, values, 0.4 + values.sum(axis=1).to_numpy())
    return shap_values.long(contributions, frame)


def single_row(changes):
    names = [f"x{i}" for i in range(len(changes))]
    return pd.DataFrame(
        {"feature": names, "value_shown": ["1"] * len(names), "contribution": changes}
    )


def test_the_legend_of_values_is_in_the_language():
    with messages.speaking("pt"):
        drawn = charts.contribution_strip(long_table()).to_dict()
    legend = drawn["layer"][1]["encoding"]["color"]["condition"]["legend"]
    for word in ("low", "high"):
        assert word not in legend["labelExpr"]
        assert messages.in_words(Message(word), "pt") in legend["labelExpr"]


def importance_table(count=4):
    mean = np.linspace(0.2, -0.01, count)
    return pd.DataFrame(
        {"feature": [f"x{i}" for i in range(count)], "mean": mean, "sd": 0.01}
    ).assign(low=mean - 0.03, high=mean + 0.03)


def partial_table(kind):
    frame = pd.DataFrame(
        {"x": np.linspace(0, 1, 50), "side": ["left", "right", "top", "left", "left"] * 10}
    )

    def predict(rows):
        return rows["x"].to_numpy() * np.where(rows["side"] == "left", 0.4, 0.8)

    return explanation.partial_dependence(predict, frame, kind)


def every_chart():
    return {
        "importance_bars": charts.importance_bars(importance_table()),
        "contribution_strip": charts.contribution_strip(long_table()),
        "waterfall": charts.waterfall(single_row([0.1, -0.2, 0.05]), 0.45, 0.4),
        "partial_dependence": charts.partial_dependence(partial_table("x")),
        "partial_dependence, texts": charts.partial_dependence(
            partial_table("side"), axis_title="Side"
        ),
    }


CHARTS = every_chart()


def tables_of(chart):
    return [pd.DataFrame(rows) for rows in chart.to_dict()["datasets"].values()]


def table_with(chart, column):
    return next(table for table in tables_of(chart) if column in table)


def steps_of(*arguments):
    return table_with(charts.waterfall(*arguments), "shown")


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_becomes_a_picture_without_a_page(name):
    svg = vl_convert.vegalite_to_svg(json.dumps(CHARTS[name].to_dict()))
    assert 600 <= float(re.search(r'<svg[^>]* width="([\d.]+)"', svg)[1]) <= 700
    assert "NaN" not in svg


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_fits_its_container_and_describes_itself(name):
    spec = CHARTS[name].to_dict()
    assert spec["width"] == "container"
    assert 100 <= spec["height"] <= 340
    assert spec["description"]
    assert "title" not in spec
    assert "background" not in spec["config"]
    assert spec["config"]["axis"] == {"labelColor": "currentColor", "titleColor": "currentColor"}


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_has_axis_titles_and_tooltips(name):
    layers = CHARTS[name].to_dict()["layer"]
    axes = [
        layer["encoding"][axis_name]
        for layer in layers
        for axis_name in "xy"
        if axis_name in layer["encoding"]
    ]
    assert len({axis["title"] for axis in axes if axis.get("title")}) >= 2
    assert any(layer["encoding"].get("tooltip") for layer in layers)


def test_importance_keeps_the_order_and_the_interval():
    chart = charts.importance_bars(importance_table(30))
    drawn = tables_of(chart)[0]
    assert drawn["feature"].tolist() == [f"x{i}" for i in range(20)]
    spec = chart.to_dict()
    assert spec["layer"][0]["encoding"]["y"]["sort"] == drawn["shown"].tolist()
    assert (spec["layer"][1]["encoding"]["x"]["field"], spec["layer"][1]["encoding"]["x2"]) == (
        "low",
        {"field": "high"},
    )


def test_a_strip_has_a_point_per_row_and_feature_in_percentage_points():
    table = long_table()
    drawn = table_with(charts.contribution_strip(table), "points")
    assert len(drawn) == len(table)
    assert drawn["points"].tolist() == pytest.approx(
        (100 * table["contribution"]).tolist(), abs=1e-3
    )


def test_a_strip_puts_the_feature_with_the_largest_contributions_first():
    table = long_table(features=30)
    size = table["contribution"].abs().groupby(table["feature"]).mean().sort_values()[::-1]
    layer = charts.contribution_strip(table).to_dict()["layer"][1]
    shown = [name.split()[0] for name in layer["encoding"]["y"]["sort"]]
    assert shown == size.index[:20].tolist()


def test_a_strip_colours_numbers_by_their_rank_and_texts_not_at_all():
    table = pd.DataFrame(
        {
            "row": range(4),
            "feature": "x",
            "value": [10.0, 900.0, np.nan, 20.0],
            "value_shown": ["10", "900", "missing", "20"],
            "contribution": [0.1, 0.2, 0.3, 0.4],
        }
    )
    drawn = table_with(charts.contribution_strip(table), "points")
    assert drawn["known"].tolist() == [True, True, False, True]
    assert drawn["rank"].tolist() == pytest.approx([1 / 6, 5 / 6, 0.5, 0.5], abs=1e-3)
    text = table.assign(value=np.nan)
    assert not table_with(charts.contribution_strip(text), "points")["known"].any()


def test_points_of_a_text_are_drawn_too():
    table = long_table(rows=10, features=1)
    svg = vl_convert.vegalite_to_svg(json.dumps(charts.contribution_strip(table).to_dict()))
    assert svg.count('aria-roledescription="circle"') == 10


def test_points_of_a_strip_stay_in_their_band_and_apart():
    equal = long_table(rows=300, features=1).assign(contribution=0.1)
    for table in (long_table(rows=300), equal):
        drawn = table_with(charts.contribution_strip(table), "points")
        assert drawn["beside"].between(-1, 1).all()
    assert drawn["beside"].nunique() == 300


@pytest.mark.parametrize(("rows", "features"), [(2000, 17), (800, 5), (300, 40), (10, 1)])
def test_a_strip_of_many_rows_stays_small(rows, features):
    drawn = table_with(charts.contribution_strip(long_table(rows, features)), "points")
    assert min(rows * min(features, 20), 2000) <= len(drawn) <= 4000


def test_a_waterfall_leads_from_the_base_to_the_probability_largest_step_first():
    steps = steps_of(single_row([0.1, -0.2, 0.05]), 0.45, 0.4)
    assert steps["name"].tolist() == [
        str(charts.COMPARED),
        "x1 = 1",
        "x0 = 1",
        "x2 = 1",
        "This row",
    ]
    assert steps["start"].tolist() == pytest.approx([0.45, 0.45, 0.25, 0.35, 0.4])
    assert steps["end"].tolist() == pytest.approx([0.45, 0.25, 0.35, 0.4, 0.4])
    assert steps["kind"].tolist() == ["end", "lowers", "raises", "raises", "end"]
    assert steps["shown"].tolist()[1:3] == ["−20.0  x1 = 1", "+10.0  x0 = 1"]


def test_a_waterfall_puts_the_smallest_of_many_together():
    changes = [0.01 * (20 - i) * (-1) ** i for i in range(20)]
    steps = steps_of(single_row(changes), 0.4, 0.4 + sum(changes))
    assert len(steps) == charts.MOST_STEPS + 2
    assert steps["name"].iloc[-2] == "9 other features"
    assert steps["points"].iloc[-2] == pytest.approx(100 * sum(changes[11:]))
    assert steps["end"].iloc[-2] == pytest.approx(steps["start"].iloc[-1])
    exactly = steps_of(single_row(changes[: charts.MOST_STEPS]), 0.4, 0.4)
    assert "other features" not in " ".join(exactly["name"])


def test_a_waterfall_shows_steps_that_leave_the_range_on_their_way():
    chart = charts.waterfall(single_row([0.7, -0.2]), 0.5, 1.0)
    first, last = chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert first < 0.5
    assert last >= 1.2


@pytest.mark.parametrize("changes", [[], [0.0], [0.0, 0.0]])
def test_a_waterfall_without_steps_is_drawn(changes):
    chart = charts.waterfall(single_row(changes), 0.5, 0.5)
    svg = vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()))
    assert "NaN" not in svg


def test_a_long_text_is_cut():
    table = single_row([0.1]).assign(value_shown="word " * 40)
    assert max(map(len, steps_of(table, 0.4, 0.5)["name"])) == charts.NAME_LENGTH


def test_partial_dependence_of_a_number_is_a_line_in_a_band():
    layers = CHARTS["partial_dependence"].to_dict()["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["area", "line", "circle"]
    assert layers[0]["encoding"]["y2"] == {"field": "high"}
    assert layers[0]["encoding"]["x"]["title"] == "x"


def test_partial_dependence_of_a_text_puts_the_most_probable_first():
    layers = CHARTS["partial_dependence, texts"].to_dict()["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["rule", "circle"]
    sort = layers[0]["encoding"]["y"]["sort"]
    assert [name.split()[0] for name in sort] == ["right", "top", "left"]
    assert layers[0]["encoding"]["y"]["title"] == "Side"


def test_a_single_value_is_drawn():
    for kind in ("x", "side"):
        chart = charts.partial_dependence(partial_table(kind).head(1))
        assert "NaN" not in vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()))


def test_what_raises_and_what_lowers_have_different_colours():
    scale = CHARTS["waterfall"].to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == ["raises", "lowers"]
    assert scale["range"] == [style.PALETTE["above"], style.PALETTE["below"]]


def test_importing_the_explanation_imports_neither_altair_nor_shap():
    code = (
        "import sys; from core.training import explanation, explanation_charts; "
        "print({'altair', 'shap', 'numba', 'sklearn'} & set(sys.modules))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CODE_ROOT
    )
    assert completed.stdout.strip() == "set()"


def test_values_that_round_to_zero_have_no_sign():
    table = pd.DataFrame(
        {"feature": ["a", "b"], "mean": [-0.00001, -0.2], "sd": 0.1, "low": -0.3, "high": 0.1}
    )
    shown = charts.importance_bars(table).to_dict()["layer"][0]["encoding"]["y"]["sort"]
    assert shown == ["a  0.0000", "b  −0.2000"]


def test_many_points_keep_the_text_of_the_theme_and_every_name():
    table = pd.DataFrame(
        {
            "row": np.repeat(np.arange(150), 17),
            "feature": [f"f{i}" for i in range(17)] * 150,
            "value": 1.0,
            "value_shown": "1",
            "contribution": np.linspace(-0.1, 0.1, 17 * 150),
        }
    )
    spec = charts.contribution_strip(table).to_dict()
    # Streamlit draws more than 2,000 marks on a canvas, where `currentColor` is black
    assert spec["usermeta"]["embedOptions"]["renderer"] == "svg"
    assert spec["layer"][1]["encoding"]["y"]["axis"]["labelOverlap"] is False
    assert spec["height"] >= 17 * 20


def test_two_outliers_do_not_squash_a_strip_and_the_axis_says_so():
    table = long_table(rows=60)
    usual = charts.contribution_strip(table).to_dict()["layer"][1]["encoding"]["x"]
    assert "domain" not in usual.get("scale", {})
    table.loc[[0, 7], "contribution"] = [8.0, 9.0]
    cut = charts.contribution_strip(table).to_dict()["layer"][1]["encoding"]["x"]
    low, high = cut["scale"]["domain"]
    assert cut["scale"]["clamp"]
    assert high < 100
    assert f"(truncated at {low:.3g} and {high:.3g})" in cut["title"]


def test_partial_dependence_is_cut_where_two_values_are_far_from_all_others():
    value = [*np.arange(18.0), 500.0, 900.0]
    table = pd.DataFrame({"feature": "x", "value": value, "label": [f"{v:g}" for v in value]})
    chart = charts.partial_dependence(table.assign(mean=0.5, low=0.4, high=0.6))
    x = chart.to_dict()["layer"][0]["encoding"]["x"]
    assert x["scale"]["domain"][1] < 30
    assert "truncated at" in x["title"]
    assert len(table_with(chart, "mean")) == 18
