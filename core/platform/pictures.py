"""Rendering of Vega-Lite charts as SVG or PNG, without a browser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def svg(spec: Mapping[str, Any]) -> str:
    """Return a chart as SVG text.

    Examples
    --------
    >>> svg({"mark": "point", "data": {"values": [{}]}})[:4]
    '<svg'
    """
    import vl_convert

    return str(vl_convert.vegalite_to_svg(json.dumps(spec)))


def png(spec: Mapping[str, Any], *, scale: float = 2.0) -> bytes:
    """Return a chart as PNG, at `scale` pixels per pixel of the chart.

    Examples
    --------
    >>> png({"mark": "point", "data": {"values": [{}]}})[1:4]
    b'PNG'
    """
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(json.dumps(spec), scale=scale))
