"""What unit tests share."""

from collections.abc import Iterator

import pytest

from core.stats.charts.layered import Layered


@pytest.fixture(autouse=True, scope="package")
def _charts_are_checked() -> Iterator[None]:
    """Compare each chart that becomes a specification with Vega-Lite's schema."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Layered, "checked", True)
        yield
