import numpy as np
import pandas as pd
import pytest
import vl_convert

from core.platform import project
from core.projects.kobe import court_map, sample, zones

SPEC = project.load("kobe")


@pytest.fixture(scope="module")
def rows():
    return sample.generate(project.sample_tables("kobe"))


def test_a_place_gives_the_columns_that_rows_of_the_data_have_there(rows):
    columns = court_map.columns_at(
        SPEC, rows["loc_x"].to_numpy(dtype=float), rows["loc_y"].to_numpy(dtype=float)
    )

    for name in ("lat", "lon", "shot_distance"):
        assert columns[name].to_numpy() == pytest.approx(rows[name].to_numpy(), abs=1e-6)
    for name in ("shot_zone_basic", "shot_zone_area", "shot_zone_range", "shot_type"):
        assert (columns[name].to_numpy() == rows[name].to_numpy()).mean() > 0.99


def test_the_place_is_found_again_from_what_follows_from_it(rows):
    places = court_map.place_of(SPEC, rows[["lat", "lon", "period"]])

    assert places["x"].to_numpy() == pytest.approx(rows["loc_x"].to_numpy())
    assert places["y"].to_numpy() == pytest.approx(rows["loc_y"].to_numpy())


def test_a_distance_alone_does_not_determine_a_place(rows):
    assert court_map.place_of(SPEC, rows[["shot_distance"]].head(3)).isna().all(axis=None)


def test_another_project_has_no_place():
    other = SPEC.model_copy(update={"court": None})

    assert court_map.place_columns(other, SPEC.features) == ()
    assert court_map.columns_at(other, np.zeros(2), np.zeros(2)).shape == (2, 0)


def test_the_map_moves_all_of_the_place_and_nothing_else(rows):
    frames = []

    def predict(frame):
        frames.append(frame)
        return np.full(len(frame), 0.4)

    row = rows[list(SPEC.features)].iloc[[5]]
    cells = court_map.probability_map(predict, SPEC, row, rows[["lat", "lon"]].head(500))

    (frame,) = frames
    assert list(frame.columns) == list(SPEC.features)
    for name in ("period", "minutes_remaining", "playoffs"):
        assert frame[name].unique().tolist() == [row[name].iloc[0]]
    expected = np.floor(np.hypot(cells["x"], cells["y"]) / 10)
    assert frame["shot_distance"].tolist() == expected.tolist()


def test_rows_on_the_other_side_of_the_line_give_a_place_no_support(rows):
    inside = rows[~zones.beyond(rows["loc_x"].to_numpy(), rows["loc_y"].to_numpy())]
    row = rows[list(SPEC.features)].head(1)

    cells = court_map.probability_map(
        lambda frame: np.full(len(frame), 0.4), SPEC, row, inside[["lat", "lon"]]
    )

    beyond = cells["is_beyond"]
    assert (cells.loc[beyond, "rows"] == 0).all()
    assert (cells.loc[~beyond, "rows"] > 0).mean() > 0.9
    sentences = court_map.support_sentences(cells, (0.0, 300.0), "2-point shots")
    assert sentences[0].startswith("None of the model's 2-point shots lies within 3 feet")
    assert sentences[1].startswith(f"{(cells['rows'] == 0).mean():.0%} of the court")
    assert court_map.support_sentences(cells, (0.0, 60.0), "2-point shots") == sentences[1:]


def test_support_counts_rows_within_the_radius_and_passes_over_missing_places():
    places = pd.DataFrame({"x": [0.0, 31.0], "y": [0.0, 0.0]})
    reference = pd.DataFrame({"x": [0.0, 30.0, np.nan], "y": [0.0, 0.0, 1.0]})

    assert court_map.support(places, reference).tolist() == [2, 1]
    assert court_map.support(places, reference.tail(1)).tolist() == [0, 0]


@pytest.mark.parametrize("with_map", [True, False])
def test_the_court_can_be_clicked_and_drawn(with_map):
    cells = court_map.grid().assign(probability=0.4, rows=1) if with_map else None

    drawn = court_map.court_chart(cells, (10.0, 20.0)).to_dict()

    (param,) = drawn["params"]
    assert (param["name"], param["select"]["fields"]) == (court_map.CLICKED, ["x", "y"])
    assert vl_convert.vegalite_to_svg(drawn).startswith("<svg")
    still = court_map.court_chart(cells, None, clickable=False).to_dict()
    assert "params" not in still
