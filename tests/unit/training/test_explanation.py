import itertools
import math

import numpy as np
import pandas as pd
import pytest

from core.training import explanation, shap_values
from core.training.explanation import importance, partial_dependence
from core.training.shap_values import EXACT_FEATURES, contributions

MANY = [f"x{i}" for i in range(EXACT_FEATURES + 3)]


def rows_of(names, count, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: rng.uniform(size=count) for name in names})


def linear(names, seed=1):
    """Return coefficients and a model that is linear in its features, within 0 to 1."""
    weight = np.random.default_rng(seed).uniform(-0.5, 0.5, len(names)) / len(names)
    return weight, lambda frame: 0.5 + frame[names].to_numpy() @ weight


def mixed(count, seed=0):
    """Return numbers and texts with missing values."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count)),
            "side": rng.choice(["left", "right", "middle"], count).astype(object),
            "z": rng.integers(0, 4, count).astype(float),
        }
    )
    frame.loc[rng.random(count) < 0.2, "side"] = np.nan
    return frame


def of_mixed(frame):
    """Return probabilities with interactions of all three features."""
    x = frame["x"].fillna(0.3)
    side = frame["side"].map({"left": 1.0, "right": -0.5, "middle": 0.1}).fillna(0.7)
    return (1 / (1 + np.exp(-(x * side + side * frame["z"] * x / 2)))).to_numpy()


def brute_force(predict, row, background):
    """Return the Shapley values by their definition, over all subsets."""
    names = list(background)

    def value(subset):
        return predict(background.assign(**{name: row[name] for name in subset})).mean()

    shapley_values = {}
    for name in names:
        others = [other for other in names if other != name]
        total = 0.0
        for size in range(len(names)):
            weight = 1 / (len(names) * math.comb(len(names) - 1, size))
            for subset in itertools.combinations(others, size):
                total += weight * (value((*subset, name)) - value(subset))
        shapley_values[name] = total
    return shapley_values


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"], MANY], ids=len)
def test_a_linear_model_contributes_its_coefficient_times_the_distance_from_the_mean(names):
    weight, predict = linear(names)
    rows, background = rows_of(names, 7), rows_of(names, 40, seed=5)
    result = contributions(predict, rows, background, orders=1)
    expected = weight * (rows - background.mean())
    np.testing.assert_allclose(result.values, expected, atol=1e-12)
    assert result.base == pytest.approx(0.5 + weight @ background.mean())


@pytest.mark.parametrize("orders", [1, 3])
def test_base_and_contributions_add_up_to_the_probability(orders):
    rows, background = rows_of(MANY, 12), rows_of(MANY, 30, seed=2)

    def predict(frame):
        return 1 / (1 + np.exp(-8 * (frame.to_numpy().prod(axis=1) ** 0.2 - 0.4)))

    result = contributions(predict, rows, background, orders=orders)
    np.testing.assert_array_equal(result.probabilities, predict(rows))
    np.testing.assert_allclose(result.base + result.values.sum(axis=1), predict(rows), atol=1e-12)


def test_texts_and_holes_are_explained_as_the_definition_says():
    rows, background = mixed(8, seed=3), mixed(25, seed=4)
    assert rows.isna().any().to_dict() == {"x": True, "side": True, "z": False}
    result = contributions(of_mixed, rows, background)
    for place in range(len(rows)):
        expected = brute_force(of_mixed, rows.iloc[place], background)
        assert result.values.iloc[place].to_dict() == pytest.approx(expected, abs=1e-12)


def test_the_model_receives_the_values_and_types_of_the_rows():
    rows, background = mixed(6, seed=3), mixed(9, seed=4)
    frames = []

    def predict(frame):
        frames.append(frame)
        return of_mixed(frame)

    contributions(predict, rows, background)
    inputs = pd.concat([rows, background])
    for frame in frames:
        assert frame.dtypes.to_dict() == rows.dtypes.to_dict()
        for name in rows:
            assert frame[name].isin(inputs[name]).all()


def test_many_orders_approximate_the_definition():
    names = MANY[: EXACT_FEATURES + 1]
    rows, background = rows_of(names, 1), rows_of(names, 10, seed=2)

    def predict(frame):
        return frame.to_numpy().prod(axis=1)

    expected = pd.Series(brute_force(predict, rows.iloc[0], background))
    single, many = (
        contributions(predict, rows, background, orders=n).values.iloc[0] for n in (1, 400)
    )
    assert (many - expected).abs().max() < 0.05 * expected.abs().max()
    assert (many - expected).abs().max() < (single - expected).abs().max()


def test_interactions_of_two_are_exact_with_one_order():
    rows, background = rows_of(MANY, 3), rows_of(MANY, 20, seed=2)

    def predict(frame):
        return (frame["x0"] * frame["x1"] + frame["x2"] * frame["x8"]).to_numpy() / 2

    single = contributions(predict, rows, background, orders=1).values
    many = contributions(predict, rows, background, orders=9, seed=7).values
    np.testing.assert_allclose(single, many, atol=1e-12)
    x, mean = rows, background.mean()
    cross = (background["x0"] * background["x1"]).mean()
    first = (x["x0"] * x["x1"] + x["x0"] * mean["x1"] - x["x1"] * mean["x0"] - cross) / 4
    np.testing.assert_allclose(single["x0"], first, atol=1e-12)


@pytest.mark.parametrize("names", [["a", "b", "c", "dummy"], [*MANY, "dummy"]], ids=len)
def test_a_feature_that_is_not_used_contributes_nothing(names):
    rows, background = rows_of(names, 5), rows_of(names, 20, seed=2)
    used = names[:-1]
    result = contributions(
        lambda frame: frame[used].to_numpy().prod(axis=1), rows, background, orders=2
    )
    np.testing.assert_allclose(result.values["dummy"], 0, atol=1e-15)


def test_features_that_do_the_same_contribute_the_same():
    background = rows_of(["a", "b", "c"], 20)
    background["b"] = background["a"]
    rows = pd.DataFrame({"a": [0.9], "b": [0.9], "c": [0.2]})
    result = contributions(
        lambda frame: (frame["a"] * frame["b"] * frame["c"]).to_numpy(), rows, background
    )
    assert result.values.loc[0, "a"] == pytest.approx(result.values.loc[0, "b"], abs=1e-15)
    assert result.values.loc[0, "a"] > 0.05


def test_values_that_differ_by_less_than_a_millionth_are_distinguished():
    # shap alone takes them for equal, and the sum misses the probability
    background = pd.DataFrame({"lat": [34.0] * 5, "z": [0.1] * 5})
    rows = pd.DataFrame({"lat": [34.00001], "z": [0.1]})
    result = contributions(lambda frame: (frame["lat"] > 34).to_numpy() * 0.5, rows, background)
    assert result.values.loc[0].to_dict() == {"lat": 0.5, "z": 0.0}


@pytest.mark.parametrize("names", [["a", "b"], MANY], ids=len)
def test_a_row_like_all_of_the_background_has_no_contributions(names):
    row = rows_of(names, 1)
    result = contributions(
        lambda frame: frame.to_numpy().mean(axis=1), row, pd.concat([row] * 3), orders=1
    )
    assert (result.values == 0).all(axis=None)
    assert result.base == pytest.approx(result.probabilities[0])


@pytest.mark.parametrize("names", [["a", "b"], MANY], ids=len)
def test_no_rows_have_no_contributions(names):
    result = contributions(
        lambda frame: frame.to_numpy().mean(axis=1), rows_of(names, 0), rows_of(names, 4)
    )
    assert result.values.shape == (0, len(names))
    assert len(result.probabilities) == 0


def test_contributions_are_drawn_by_the_seed_alone():
    rows, background = rows_of(MANY, 3), rows_of(MANY, 10, seed=2)

    def explained(seed):
        return contributions(
            lambda frame: frame.to_numpy().prod(axis=1), rows, background, orders=1, seed=seed
        ).values

    np.random.seed(11)
    before = np.random.get_state()[1].copy()
    first = explained(1)
    assert (np.random.get_state()[1] == before).all()
    np.random.seed(12)
    pd.testing.assert_frame_equal(explained(1), first)
    assert not explained(2).equals(first)


def test_rows_keep_their_index_and_progress_is_reported():
    rows = rows_of(["a", "b"], 3).set_index(pd.Index([30, 10, 20]))
    progress = []
    result = contributions(
        lambda frame: frame["a"].to_numpy(), rows, rows, on_row=lambda *done: progress.append(done)
    )
    assert result.values.index.tolist() == [30, 10, 20]
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_every_row_asks_the_model_equally_often():
    # from the second row of a call on, shap 0.49.1 needs main effects too
    rows, background = rows_of(MANY, 4), rows_of(MANY, 10, seed=2)
    sizes = []

    def predict(frame):
        sizes.append(len(frame))
        return frame.to_numpy().mean(axis=1)

    contributions(predict, rows, background, orders=2)
    assert len(sizes) == 4 * 2 + 2
    assert sum(sizes) <= 4 * 2 * (2 * len(MANY) + 1) * 10 + 10 + 4


def test_global_contributions_are_mean_absolute_ones():
    values = pd.DataFrame({"a": [0.1, -0.3], "b": [0.0, 0.0], "c": [-0.5, -0.5]})
    table = shap_values.global_contributions(values)
    assert table["feature"].tolist() == ["c", "a", "b"]
    assert table["mean"].tolist() == pytest.approx([0.5, 0.2, 0])


def test_the_background_has_the_mean_probability_of_all():
    rng = np.random.default_rng(0)
    probabilities = rng.beta(2, 5, 4000)
    frame = pd.DataFrame({"p": probabilities})
    background = shap_values.background(frame, probabilities)["p"]
    drawn = [rng.choice(probabilities, 100).mean() for _ in range(300)]
    assert len(background) == 100
    assert abs(background.mean() - probabilities.mean()) < 0.1 * np.std(drawn)


@pytest.mark.parametrize(("count", "rows", "expected"), [(1, 100, 1), (3, 100, 3), (250, 100, 100)])
def test_the_background_repeats_no_row(count, rows, expected):
    frame = pd.DataFrame({"x": np.arange(count)})
    background = shap_values.background(frame, np.full(count, 0.5), rows)
    assert len(background) == background["x"].nunique() == expected


def shuffled_loss(labels, probability):
    """Return the mean log loss over all ways to shuffle a model's only feature."""
    p = np.asarray(probability)
    losses = np.where(np.asarray(labels)[:, None] == 1, -np.log(p), -np.log(1 - p))
    return losses.mean(), np.diag(losses).mean()


def test_importance_is_the_increase_of_log_loss():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"p": rng.uniform(0.05, 0.95, 400), "noise": rng.normal(size=400)})
    labels = (rng.random(400) < frame["p"]).astype(int).to_numpy()
    after, before = shuffled_loss(labels, frame["p"])
    table = importance(lambda rows: rows["p"].to_numpy(), frame, labels, repeats=200)
    assert table["feature"].tolist() == ["p", "noise"]
    assert table.loc[0, "mean"] == pytest.approx(after - before, rel=0.02)
    assert table.loc[1, ["mean", "sd", "low", "high"]].tolist() == [0, 0, 0, 0]


def test_importance_agrees_with_scikit_learn():
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LogisticRegression

    frame = rows_of(["a", "b", "c"], 1500, seed=4)
    chance = 1 / (1 + np.exp(-(4 * frame["a"] - 2 * frame["b"] - 1)))
    labels = (np.random.default_rng(5).random(1500) < chance).astype(int).to_numpy()
    model = LogisticRegression().fit(frame, labels)
    theirs = permutation_importance(
        model, frame, labels, scoring="neg_log_loss", n_repeats=40, random_state=1
    )
    ours = importance(lambda rows: model.predict_proba(rows)[:, 1], frame, labels, repeats=40)
    ours = ours.set_index("feature").loc[["a", "b", "c"]]
    error = 4 * theirs.importances_std / np.sqrt(40) * np.sqrt(2)
    assert (np.abs(ours["mean"] - theirs.importances_mean) <= error).all()
    np.testing.assert_allclose(ours["sd"], theirs.importances_std, rtol=0.5)


def test_importance_handles_sure_mistakes_one_class_and_texts():
    frame = pd.DataFrame({"side": ["left", "right"] * 20, "x": [np.nan, 1.0] * 20})
    labels = np.ones(40, dtype=int)
    table = importance(lambda rows: (rows["side"] == "left").to_numpy() * 1.0, frame, labels)
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)


def test_importance_is_drawn_by_the_seed_and_leaves_the_rows_as_they_were():
    frame = rows_of(["a", "b"], 50)
    labels = (frame["a"] > 0.5).astype(int).to_numpy()
    copy, progress = frame.copy(), []

    def measured(seed):
        return importance(
            lambda rows: rows["a"].clip(0.1, 0.9).to_numpy(),
            frame,
            labels,
            seed=seed,
            on_feature=lambda *done: progress.append(done),
        )

    pd.testing.assert_frame_equal(measured(1), measured(1))
    assert not measured(1).equals(measured(2))
    pd.testing.assert_frame_equal(frame, copy)
    assert progress[:2] == [(1, 2), (2, 2)]


def test_partial_dependence_of_a_linear_model_is_its_line():
    weight, predict = linear(["a", "b"])
    frame = rows_of(["a", "b"], 300)
    table = partial_dependence(predict, frame, "a")
    rest = 0.5 + weight[1] * frame["b"]
    np.testing.assert_allclose(table["mean"], weight[0] * table["value"] + rest.mean())
    np.testing.assert_allclose(table["low"], weight[0] * table["value"] + rest.quantile(0.1))
    np.testing.assert_allclose(table["high"], weight[0] * table["value"] + rest.quantile(0.9))
    assert len(table) == 20
    assert table["value"].isin(frame["a"]).all()
    assert table["value"].is_monotonic_increasing


def test_partial_dependence_agrees_with_scikit_learn():
    from sklearn.inspection import partial_dependence as theirs_of
    from sklearn.tree import DecisionTreeClassifier

    frame = rows_of(["a", "b"], 200)
    model = DecisionTreeClassifier(max_depth=4, random_state=0)
    model.fit(frame, (frame["a"] + frame["b"] ** 2 > 0.8).astype(int))
    frame["a"] = frame["a"].round(1)
    ours = partial_dependence(lambda rows: model.predict_proba(rows)[:, 1], frame, "a")
    theirs = theirs_of(model, frame, ["a"], kind="average", percentiles=(0, 1))
    np.testing.assert_allclose(ours["value"], theirs["grid_values"][0])
    np.testing.assert_allclose(ours["mean"], theirs["average"][0])


def test_partial_dependence_of_a_text_takes_the_most_frequent_ones():
    texts = ["a"] * 5 + ["c"] * 3 + ["b"] * 3 + ["rare", np.nan]
    frame = pd.DataFrame({"side": texts, "x": np.linspace(0, 1, 13)})
    table = partial_dependence(
        lambda rows: ((rows["side"] == "c") * rows["x"]).to_numpy(), frame, "side", points=3
    )
    assert table["label"].tolist() == ["a", "b", "c"]
    assert table["value"].isna().all()
    assert table["mean"].tolist() == pytest.approx([0, 0, 0.5])


def test_partial_dependence_over_some_rows_takes_the_values_of_all():
    frame = rows_of(["a", "b"], 500)
    some, copy, sizes = frame.iloc[::5], frame.copy(), []

    def predict(rows):
        sizes.append(len(rows))
        return (rows["a"] * rows["b"]).to_numpy()

    table = partial_dependence(predict, frame, "a", over=some)
    assert set(sizes) == {100}
    assert table["value"].tolist() == partial_dependence(predict, frame, "a")["value"].tolist()
    np.testing.assert_allclose(table["mean"], table["value"] * some["b"].mean())
    pd.testing.assert_frame_equal(frame, copy)


@pytest.mark.parametrize(("features", "orders", "most"), [(3, 9, 8), (6, 1, 64), (7, 2, 30)])
def test_few_features_use_all_subsets_and_more_use_orders(features, orders, most):
    assert shap_values.evaluations(features, orders) == most


@pytest.mark.parametrize("values", [[np.nan] * 3, [None] * 3], ids=["number", "text"])
def test_a_feature_without_values_has_no_partial_dependence(values):
    frame = pd.DataFrame({"a": values, "b": [0.1, 0.2, 0.3]})
    table = partial_dependence(lambda rows: rows["b"].to_numpy(), frame, "a")
    assert table.empty
    assert list(table) == ["feature", "value", "label", "mean", "low", "high"]
    assert table.dtypes["value"] == table.dtypes["mean"] == "float64"


def test_long_contributions_stand_beside_the_values_they_belong_to():
    rows = pd.DataFrame({"side": ["left", None], "x": [np.nan, 2.5]}, index=[7, 9])
    values = pd.DataFrame([[0.1, 0.2], [0.3, 0.4]], columns=["side", "x"], index=[7, 9])
    table = shap_values.long(shap_values.Contributions(0.5, values, np.array([0.8, 1.2])), rows)
    assert table["row"].tolist() == [7, 7, 9, 9]
    assert table["value_shown"].tolist() == ["left", "missing", "missing", "2.5"]
    assert table["contribution"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert table["value"].isna().tolist() == [True, True, True, False]


def test_companions_are_the_numbers_that_change_together_most_first():
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    rows = pd.DataFrame(
        {
            "x": x,
            "against": -x + rng.normal(size=500),
            "with": x + 0.1 * rng.normal(size=500),
            "alone": rng.normal(size=500),
            "same": np.ones(500),
            "text": np.where(x > 0, "a", "b"),
        }
    )
    companions = explanation.companions(rows, "x")
    assert companions.index.tolist() == ["with", "against"]
    assert companions["with"] == pytest.approx(np.corrcoef(x, rows["with"])[0, 1])
    assert companions["against"] < -0.5


@pytest.mark.parametrize("name", ["text", "same", "absent", "only"])
def test_what_is_no_number_or_never_changes_has_no_companions(name):
    rows = pd.DataFrame({"text": ["a", "b"], "same": [1, 1], "only": [1.0, 2.0]})
    assert explanation.companions(rows, name).empty
