import json
import math

import numpy as np
import pandas as pd
import pytest
import vl_convert

from core.projects.kobe import court, half_court


@pytest.fixture
def shots():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.uniform(-260, 260, 5000), "y": rng.uniform(-60, 800, 5000)})
    frame["made"] = rng.integers(0, 2, 5000).astype(float)
    frame.loc[::5, "made"] = np.nan
    return frame


def line(part):
    points = half_court.lines()
    return points[points["part"] == part].sort_values("order")


def test_the_three_point_arc_meets_its_corner_lines():
    three = line("three-point line")
    corner = three.iloc[1]

    assert corner["x"] == pytest.approx(220)
    assert corner["y"] == pytest.approx(math.sqrt(237.5**2 - 220**2))
    assert np.hypot(three["x"][1:-1], three["y"][1:-1]).tolist() == pytest.approx([237.5] * 61)
    assert three["y"].iloc[[0, -1]].tolist() == [-47.5, -47.5]


def test_the_court_has_the_measures_of_the_league():
    points = half_court.lines()
    key = line("key")

    assert np.ptp(points["x"]) == 500
    assert points["y"].min() == -47.5
    assert points["y"].max() == 422.5
    assert (np.ptp(key["x"]), np.ptp(key["y"])) == (160, 190)
    assert line("free throw circle")["y"].max() == pytest.approx(142.5 + 60)
    assert line("restricted arc")["y"].max() == pytest.approx(40)
    assert line("backboard")["y"].unique().tolist() == [-7.5]


def test_the_court_is_the_same_left_and_right():
    points = half_court.lines()
    right = {(round(x, 6), round(y, 6)) for x, y in zip(points["x"], points["y"], strict=True)}
    left = {(round(-x, 6) + 0.0, y) for x, y in right}

    assert {(x + 0.0, y) for x, y in right} == left


def test_bins_hold_every_shot_of_the_half_court_once(shots):
    inside = shots[shots["x"].abs().le(250) & shots["y"].between(-47.5, 422.5)]

    bins = court.gather(court.cells(shots, "x", "y", "made"))

    assert 0 < len(inside) < len(shots)
    assert bins["shots"].sum() == len(inside)
    assert bins["labelled"].sum() == inside["made"].notna().sum()
    assert bins["made"].sum() == inside["made"].sum()
    assert not bins.duplicated(["x", "y"]).any()


def test_a_shot_lies_in_the_hexagon_whose_centre_is_nearest():
    rng = np.random.default_rng(2)
    size = 20.0
    x, y = rng.uniform(-200, 200, 300), rng.uniform(0, 400, 300)
    centre_x, centre_y = court._hexagons(x, y, size)
    rows = np.arange(-10, 60)
    lattice = np.array(
        [
            (size * (i + (j % 2) / 2), size * math.sqrt(3) / 2 * j)
            for i in range(-15, 16)
            for j in rows
        ]
    )

    nearest = np.hypot(x[:, None] - lattice[:, 0], y[:, None] - lattice[:, 1]).min(axis=1)

    assert np.hypot(x - centre_x, y - centre_y) == pytest.approx(nearest, abs=1e-5)


def test_a_bin_with_few_labels_has_no_rate():
    frame = pd.DataFrame({"x": [0.0] * 20 + [200.0] * 3, "y": 0.0, "made": [1.0] * 5 + [0.0] * 18})

    bins = court.gather(court.cells(frame, "x", "y", "made"), min_labels=10).set_index("x")

    assert bins.loc[0.0, "make_rate"] == 0.25
    assert math.isnan(bins.loc[200.0, "make_rate"])


def test_shots_without_labels_are_binned_too(shots):
    bins = court.gather(court.cells(shots, "x", "y"))

    assert bins["labelled"].sum() == 0
    assert bins["make_rate"].isna().all()


def test_a_shot_without_a_place_is_in_no_bin():
    frame = pd.DataFrame({"x": [0.0, np.nan], "y": [0.0, 0.0]})

    assert court.gather(court.cells(frame, "x", "y"))["shots"].tolist() == [1]


@pytest.mark.parametrize("average", [0.45, 0.05, 0.98, None, math.nan])
def test_the_shot_chart_draws_a_court_to_scale(shots, average):
    chart = court.shot_chart(court.gather(court.cells(shots, "x", "y", "made")), average)
    spec = chart.to_dict()

    assert spec["height"] / spec["width"] == pytest.approx(470 / 500, abs=0.002)
    assert spec["autosize"]["type"] == "pad"
    assert vl_convert.vegalite_to_svg(json.dumps(spec)).startswith("<svg")


def test_the_middle_colour_stands_for_the_average(shots):
    spec = court.shot_chart(court.gather(court.cells(shots, "x", "y", "made")), 0.45).to_dict()
    colour = next(
        layer["encoding"]["color"] for layer in spec["layer"] if "color" in layer["encoding"]
    )

    assert colour["scale"]["domain"] == pytest.approx([0.25, 0.45, 0.65])


def test_a_court_without_shots_is_drawn():
    frame = pd.DataFrame({"x": [0.0], "y": [900.0], "made": [1.0]})

    spec = court.shot_chart(court.gather(court.cells(frame, "x", "y", "made")), 0.5).to_dict()

    assert vl_convert.vegalite_to_svg(json.dumps(spec)).startswith("<svg")


def test_a_chart_of_many_shots_carries_bins_only():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(0, 100, 30000), "y": rng.uniform(-40, 400, 30000)})

    bins = court.gather(court.cells(frame, "x", "y"))

    assert len(bins) < 900
    assert len(json.dumps(court.shot_chart(bins, None).to_dict())) < 400_000


def test_cells_are_filtered_to_what_filtered_shots_give(shots):
    rng = np.random.default_rng(9)
    shots = shots.assign(
        period=rng.integers(1, 5, len(shots)), kind=rng.choice(["a", "b"], len(shots))
    )

    gathered = court.gather(
        court.cells(shots, "x", "y", "made", by=["period", "kind"]),
        {"period": [1, 4], "kind": ["b"]},
    )

    some = shots[shots["period"].isin([1, 4]) & (shots["kind"] == "b")]
    pd.testing.assert_frame_equal(gathered, court.gather(court.cells(some, "x", "y", "made")))


def test_points_are_labelled_shots_of_the_half_court_and_not_too_many(shots):
    inside = shots[shots["x"].abs().le(250) & shots["y"].between(-47.5, 422.5)]

    every = court.points(shots, "x", "y", "made", most=10**6, seed=1)
    some = court.points(shots, "x", "y", "made", most=50, seed=1)

    assert len(every) == inside["made"].notna().sum()
    assert every["made"].sum() == inside["made"].sum()
    assert len(some) == 50
    assert some.equals(court.points(shots, "x", "y", "made", most=50, seed=1))


def test_made_and_missed_points_differ_in_colour_and_in_shape():
    points = pd.DataFrame({"x": [0.0, 10.0], "y": [0.0, 90.0], "made": [1, 0]})

    spec = court.point_chart(points, positive="made", negative="missed").to_dict()
    encoding = spec["layer"][0]["encoding"]

    assert encoding["color"]["scale"]["domain"] == ["made", "missed"]
    assert len(set(encoding["shape"]["scale"]["range"])) == 2
    assert spec["height"] / spec["width"] == pytest.approx(470 / 500, abs=0.002)
    assert vl_convert.vegalite_to_svg(json.dumps(spec)).startswith("<svg")
