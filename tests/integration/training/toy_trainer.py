"""A stand-in for PyCaret's trainer, for tests of what a cluster does with any candidate.

Importing PyCaret takes a worker seconds, and a long fit takes a core from all other tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from core.training import automl


class Trainer:
    """Fits `params["folds"]` folds, each in a twentieth of a second, and learns nothing."""

    def __init__(self, on_fold: Callable[[], None]) -> None:
        self._on_fold = on_fold

    def fit(self, name: str, params: Mapping[str, Any]) -> automl.Fitted:
        for _ in range(int(params.get("folds", 1))):
            time.sleep(0.05)
            self._on_fold()
        nothing = pd.DataFrame()
        return automl.Fitted(name, None, dict(params), nothing, nothing, 0, 0.0, ())
