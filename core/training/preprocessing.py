"""The preprocessing step of a model's pipeline: imputation, scaling, encoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.platform.classifier import Transformer

# Names in fewer training rows share one column.
RARE = 20


def preprocessor(
    numbers: Sequence[str], texts: Sequence[str], *, impute: bool
) -> Transformer | None:
    """Return an unfitted transformer of these features, None where none is needed.

    Complete numbers go to the classifier unchanged. With texts among the features, or missing
    values to impute, numbers are imputed by their median and scaled, texts are imputed by the most
    frequent one and one-hot encoded. A name that is not in the training set is 0 in all columns.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": [1.0, 3.0, None], "t": ["a", "b", "a"]})
    >>> preprocessor(["x"], ["t"], impute=True).fit_transform(frame).columns.tolist()
    ['x', 't_0.0']
    >>> preprocessor(["x"], [], impute=False) is None
    True
    """
    if not texts and not impute:
        return None
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    def chain(strategy: str, *steps: tuple[str, Any]) -> Any:
        first = [("impute", SimpleImputer(strategy=strategy))] if impute else []
        return Pipeline([*first, *steps])

    # ordinal first, so that columns are called t_0, t_1: LightGBM refuses a name with a comma
    number = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=RARE
    )
    spread = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = [
        ("numbers", chain("median", ("scale", StandardScaler())), list(numbers)),
        ("texts", chain("most_frequent", ("number", number), ("spread", spread)), list(texts)),
    ]
    columns = ColumnTransformer(
        [part for part in parts if part[2]], verbose_feature_names_out=False
    )
    transformer: Transformer = columns.set_output(transform="pandas")
    return transformer
