"""The preprocessing step of a model's pipeline: imputation, scaling, encoding."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from core.platform.classifier import Transformer

# Names in fewer training rows share one column.
RARE = 20
# A text of more names becomes one number, the share of label 1 among the rows of each name.
MOST_NAMES = 60
# Rows with the base rate that are added to those of each name: a share from few rows is mostly
# chance, and each of them is among the rows that the classifier is fitted on.
SMOOTHING = 100


def with_many_names(rows: pd.DataFrame, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the text columns with too many names for one column each.

    Examples
    --------
    >>> rows = pd.DataFrame({"few": ["a", "b"] * 1000, "many": list(map(str, range(100))) * 20})
    >>> with_many_names(rows, ["few", "many"])
    ('many',)
    """
    return tuple(
        name for name in texts if int((rows[name].value_counts() >= RARE).sum()) > MOST_NAMES
    )


def preprocessor(
    numbers: Sequence[str], texts: Sequence[str], *, impute: bool, many: Collection[str] = ()
) -> Transformer | None:
    """Return an unfitted transformer of these features, None where none is needed.

    Complete numbers go to the classifier unchanged. With texts among the features, or missing
    values to impute, numbers are scaled. A missing number is imputed by the median and marked in a
    separate column; a missing text is a separate name. Texts are one-hot encoded. A name that
    is not in the training set is 0 in all columns.

    Parameters
    ----------
    many : collection of str
        Texts that are encoded by the share of label 1 instead; see `with_many_names`. A name that
        is not in the training set gets the share of all rows.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": [1.0, 3.0, None], "t": ["a", "b", "a"]})
    >>> preprocessor(["x"], ["t"], impute=True).fit_transform(frame).columns.tolist()
    ['x', 'missingindicator_x', 't_0.0']
    >>> preprocessor(["x"], [], impute=False) is None
    True
    """
    if not texts and not impute:
        return None
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

    def ordinal(most: int | None) -> list[tuple[str, Any]]:
        # a separate name, or 0 among codes; the encoders fail on rows that are all missing
        name = SimpleImputer(strategy="constant")
        # ordinal, so that columns are called t_0, t_1: LightGBM refuses a name with a comma
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            min_frequency=RARE,
            max_categories=most,
        )
        return [*([("impute", name)] if impute else []), ("number", encoder)]

    fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    scale = ("scale", StandardScaler())
    spread = ("spread", OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    share = ("share", TargetEncoder(target_type="binary", smooth=SMOOTHING))
    parts = [
        ("numbers", [("impute", fill), scale] if impute else [scale], list(numbers)),
        ("texts", [*ordinal(MOST_NAMES), spread], [name for name in texts if name not in many]),
        ("shares", [*ordinal(None), share, scale], [name for name in texts if name in many]),
    ]
    columns = ColumnTransformer(
        [(name, Pipeline(steps), shown) for name, steps, shown in parts if shown],
        verbose_feature_names_out=False,
    )
    transformer: Transformer = columns.set_output(transform="pandas")
    return transformer
