"""Evidence of the checklist: recorded values by name, and what lacks or differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.documents.dossier import FileFacts, RunFacts
from core.documents.texts.reading import code, metric
from core.documents.texts.requirement import Found
from core.platform import messages
from core.platform.messages import Words, _


def recorded(values: Mapping[str, object]) -> str:
    """Return values by name, as MLflow or a file has them.

    Examples
    --------
    >>> recorded({"test_share": 0.2, "rows_train": 16228.0, "split": "random"})
    '`test_share = 0.2`, `rows_train = 16,228` and `split = random`.'
    """
    words = [code(f"{name} = {_shown(value)}") for name, value in values.items()]
    return f"{messages.listed(words)}."


def metrics(run: RunFacts, *names: str) -> dict[str, float | None]:
    """Return the metrics of a run by name; None for one that it lacks."""
    return {name: metric(run, name) for name in names}


def shape(file: FileFacts) -> str:
    """Return the number of rows and columns of a file, as pandas writes it."""
    return f"({file.rows}, {file.columns})"


def present(items: Iterable[Words], run: RunFacts | None = None, *, path: str = "") -> Found:
    """Return met, with what there is."""
    return Found("met", _("Present: {items}.", items=[*items]), run, path)


def missing(items: Iterable[Words], run: RunFacts | None = None) -> Found:
    """Return what is not there: missing without a run, else partly met."""
    return Found("partly" if run else "missing", _("Missing: {items}.", items=[*items]), run)


def proved(run: RunFacts, values: Mapping[str, object], *, path: str = "") -> Found:
    """Return met with the values that prove it; partly if the run lacks one.

    Examples
    --------
    >>> run = RunFacts("97a44c46f0", "1", "Treinamento", "FINISHED", 0, 0, {}, {}, {})
    >>> proved(run, {"log_loss_cv": None}).evidence
    'Missing: `log_loss_cv`.'
    """
    lacking = [code(name) for name, value in values.items() if value is None or value == ""]
    return missing(lacking, run) if lacking else Found("met", recorded(values), run, path)


def differs(run: RunFacts, name: str, actual: object, expected: object, *, path: str = "") -> Found:
    """Return partly met: what there is, and what was asked.

    Examples
    --------
    >>> run = RunFacts("97a44c46f0", "1", "PreparacaoDados", "FINISHED", 0, 0, {}, {}, {})
    >>> differs(run, "test_share", 0.3, 0.2).evidence
    '`test_share`: `0.3` instead of `0.2`.'
    """
    words = _(
        "{name}: {actual} instead of {expected}.",
        name=code(name),
        actual=code(_shown(actual)),
        expected=code(_shown(expected)),
    )
    return Found("partly", words, run, path, _("Run on the real data"))


def of_sample(run: RunFacts, values: Mapping[str, object], *, path: str) -> Found:
    """Return partly met: the values are of the built-in sample, not of the real rows."""
    words = _(
        "**From the built-in sample, not from real data:** {figures}", figures=recorded(values)
    )
    return Found("partly", words, run, path, _("Run on the real data"))


def _shown(value: object) -> str:
    if not isinstance(value, int | float):
        return str(value) or "–"
    return messages.number(value, ",.0f" if float(value).is_integer() else ",.4g")
