from __future__ import annotations

import pytest

from tests.simulation.samples import Samples


@pytest.fixture(params=["few", pytest.param("all", marks=pytest.mark.long)])
def samples(request: pytest.FixtureRequest) -> Samples:
    """A quarter of the samples; with LONG_TESTS=1 all of them too."""
    return Samples(1.0 if request.param == "all" else 0.25)
