"""Formatting of run facts: links to runs, numbers, checks as table rows, charts.

Everything is put into the current language.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from core.documents.dossier import Figure, RunFacts
from core.platform import messages
from core.platform.markdown_templates import escaped as plain
from core.platform.messages import Message, span
from core.platform.run_tags import RunTags
from core.stats.check import VERDICT_LABELS

if TYPE_CHECKING:
    import altair as alt

Tags = TypeVar("Tags", bound=RunTags)


def link(run: RunFacts, text: str = "") -> str:
    """Return a link to a run, with its name and the first digits of its id.

    Examples
    --------
    >>> link(RunFacts("97a44c46f0", "1", "Monitoramento", "FINISHED", 0, 0, {}, {}, {}))
    '[Monitoramento 97a44c46](run:97a44c46f0)'
    """
    return f"[{text or f'{run.name} {run.run_id[:8]}'}](run:{run.run_id})"


def words(value: object) -> str:
    """Return a message, as it is or as `messages.dumps` stored it, in words; else the text.

    Examples
    --------
    >>> words(messages.dumps(Message("{n} rows", n=2))), words("as it is")
    ('2 rows', 'as it is')
    """
    return str(messages.loads(value)) if isinstance(value, str) else str(value)


def code(value: object) -> str:
    """Return any text as inline code.

    Examples
    --------
    >>> code("lat"), code("a`b")
    ('`lat`', "`a'b`")
    """
    return f"`{str(value).replace('`', chr(39))}`"


def plain_tags(kind: type[Tags], run: RunFacts) -> Tags:
    r"""Return the tags of a run, with texts in words and escaped by `plain`.

    Examples
    --------
    >>> from core.platform.runs import ChampionMove
    >>> tags = {"courtside.reason": "*so*"}
    >>> moved = RunFacts("97", "1", "Promocao", "FINISHED", 0, 0, {}, {}, tags)
    >>> print(plain_tags(ChampionMove, moved).reason)
    \*so\*
    """
    known = kind.of(run)
    escaped = {
        name: plain(words(value)) for name, value in known if isinstance(value, str | Message)
    }
    return known.model_copy(update=escaped)


def moment(seconds: float) -> str:
    """Return a time for display.

    Examples
    --------
    >>> moment(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{messages.day(datetime.fromtimestamp(seconds, UTC))} UTC"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number: counts as integers, metrics with fixed digits, a dash for none.

    Examples
    --------
    >>> number(20285), number(0.67849), number(float("nan")), number(1.0)
    ('20,285', '0.6785', '–', '1.0000')
    """
    if value is None or value != value:
        return "–"
    if float(value).is_integer() and value not in (0, 1):
        return messages.number(value, ",.0f")
    return messages.number(value, f",.{digits}f")


def bound(value: float) -> str:
    """Return a limit or a threshold as it was chosen, without extra digits.

    Examples
    --------
    >>> bound(0.5), bound(33)
    ('0.5', '33')
    """
    return messages.number(value, "g")


def percent(value: float, digits: int = 1) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> percent(0.4774)
    '47.7%'
    """
    return messages.number(value, f".{digits}%")


def share(value: float | None) -> str:
    """Return a share in percent, a dash for none.

    Examples
    --------
    >>> share(0.4774), share(None)
    ('47.7%', '–')
    """
    return "–" if value is None or value != value else percent(value)


def metric(run: RunFacts | None, name: str) -> float | None:
    """Return a metric of a run, None without the run or the metric."""
    value = run.metrics.get(name) if run else None
    return None if value is None or math.isnan(value) else float(value)


def moved_by_the_base_rate(run: RunFacts | None) -> dict[str, tuple[float, float]]:
    """Return metrics of a report, now and in the reference; empty if one is missing."""
    pairs = {
        name: (metric(run, f"{name}_current"), metric(run, f"{name}_reference"))
        for name in ("log_loss", "base_rate", "skill")
    }
    known = {
        name: (now, before)
        for name, (now, before) in pairs.items()
        if now is not None and before is not None
    }
    return known if len(known) == len(pairs) else {}


def value(run: RunFacts | None, name: str, digits: int = 4) -> str:
    """Return a metric of a run as `number` does, a dash without it."""
    return number(metric(run, name), digits)


def verdict(code: str) -> str:
    """Return the word of a check's verdict, an alert in bold."""
    return f"**{VERDICT_LABELS[code]}**" if code == "alert" else str(VERDICT_LABELS[code])


def interval(low: float | None, high: float | None) -> str:
    """Return an interval, a dash for none.

    Examples
    --------
    >>> interval(0.52, 0.55), interval(float("nan"), float("nan"))
    ('0.5200 to 0.5500', '–')
    """
    if low is None or high is None or low != low or high != high:
        return "–"
    return span(low, high)


def table_of(run: RunFacts | None, name: str) -> pd.DataFrame:
    """Return a table of a run, empty without it."""
    return pd.DataFrame() if run is None else run.tables.get(name, pd.DataFrame())


def settings(run: RunFacts | None, names: Iterable[str]) -> list[str]:
    """Return the parameters of a run that it has, each with its name."""
    return [f"{name}={run.params[name]}" for name in names if run and run.params.get(name)]


def records(run: RunFacts | None, name: str) -> list[dict[Any, Any]]:
    """Return the rows of a table of a run, none without it."""
    return table_of(run, name).to_dict("records")


def figure(name: str, chart: alt.TopLevelMixin) -> Figure:
    """Return a chart of the current language as a figure, with numbers in its form."""
    drawn: Mapping[str, Any] = chart.to_dict()
    language = messages.current()
    if language != "en":
        locale = messages.d3_locale(language)
        drawn = {**drawn, "config": {**drawn.get("config", {}), "locale": locale}}
    return Figure(name, "", drawn)


def listed(names: Iterable[str]) -> str:
    """Return names as a comma-separated list of inline code.

    Examples
    --------
    >>> listed(["lat", "lon"])
    '`lat`, `lon`'
    """
    return ", ".join(f"`{name}`" for name in names)
