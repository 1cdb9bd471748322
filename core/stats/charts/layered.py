"""The chart that all others become: layers under one description, drawn as they are."""

from __future__ import annotations

from typing import Any, ClassVar

import altair as alt


class Layered(alt.LayerChart):
    """A chart of layers that is not compared with Vega-Lite's schema whenever it is drawn.

    The comparison takes most of the time of drawing. The tests of the charts switch it on.
    """

    checked: ClassVar[bool] = False

    def to_dict(self, validate: bool = False, **options: Any) -> dict[str, Any]:
        """Return the specification in Vega-Lite.

        Parameters
        ----------
        validate : bool
            Whether to compare it with the schema; always, where `checked` is set.
        options
            Of Altair's own `to_dict`.

        Raises
        ------
        altair.utils.schemapi.SchemaValidationError
            If it is compared and does not agree.
        """
        specification: dict[str, Any] = super().to_dict(
            validate=validate or type(self).checked, **options
        )
        return specification
