"""Distributions of check values in windows without drift (null distributions)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Protocol

import numpy as np
import numpy.typing as npt

from core.stats.distances import cramers_v_of, js_of, psi_of

Floats = npt.NDArray[np.float64]
# Quantiles above which the tail is fitted: with few and with many draws.
_TAIL, _TAIL_OF_MANY, _MANY = 0.05, 0.01, 10_000
# Empty bins that are distinguished, and draws for each; rarer cases are left out.
_EMPTY, _DRAWS_EMPTY, _NEVER = 3, 2_000, 1e-9


class Tail(Protocol):
    """The upper tail of a check's value in windows without drift."""

    def share(self, value: float) -> float:
        """Return the share of windows with this value or more."""
        ...

    def limit(self, share: float) -> float:
        """Return the smallest value that at most this share reaches; infinity if there is none."""
        ...


class Drawn:
    """An empirical tail from simulated windows, extrapolated by an exponential tail.

    Peaks over threshold (Pickands, 1975): beyond the 95% quantile, or the 99% quantile from 10,000
    draws on.

    Parameters
    ----------
    values : array of float
        One per window.

    Examples
    --------
    >>> tail = Drawn(np.random.default_rng(0).exponential(size=20_000))
    >>> round(tail.share(1.0), 2), abs(tail.limit(1e-5) / -np.log(1e-5) - 1) < 0.1
    (0.37, True)
    """

    def __init__(self, values: Floats) -> None:
        self._values = np.sort(values)
        self._tail = _TAIL if len(values) < _MANY else _TAIL_OF_MANY
        self._start = float(np.quantile(self._values, 1 - self._tail))
        beyond = self._values[np.searchsorted(self._values, self._start, side="right") :]
        # identical draws beyond the quantile leave nothing to extrapolate
        self._part = len(beyond) / len(values)
        self._excess = float(beyond.mean()) - self._start if len(beyond) else 0.0

    def share(self, value: float) -> float:
        """Return the share of windows with this value or more."""
        if value > self._start:
            if not self._part or not self._excess:
                return 0.0
            return self._part * float(np.exp(-(value - self._start) / self._excess))
        beyond = len(self._values) - np.searchsorted(self._values, value, side="left")
        return float(beyond / len(self._values))

    def limit(self, share: float) -> float:
        """Return the smallest value that at most this share reaches; infinity if there is none."""
        if share >= 1:
            return -np.inf
        if share < self._part and self._excess:
            return self._start + self._excess * float(np.log(self._part / share))
        # the next value above one that is reached too often
        place = len(self._values) - 1 - int(share * len(self._values))
        return float(np.nextafter(min(self._values[place], self._start), np.inf))


@dataclass(frozen=True)
class Kolmogorov:
    """The Kolmogorov-Smirnov distance of two samples, taken as one sample of n m / (n + m) values.

    Exact for that sample (Simard and L'Ecuyer, 2011) whatever the distribution; ties make the
    distance smaller.

    Parameters
    ----------
    size : int
        n m / (n + m).

    Examples
    --------
    >>> round(Kolmogorov(100).limit(0.05), 3)
    0.134
    """

    size: int

    def share(self, value: float) -> float:
        """Return the share of windows with this value or more."""
        return _ks_share(self.size, value)

    def limit(self, share: float) -> float:
        """Return the smallest value that at most this share reaches; infinity if there is none."""
        return _ks_limit(self.size, share) if share < 1 else 0.0


@lru_cache(maxsize=512)
def _ks_share(size: int, value: float) -> float:
    from scipy.stats import kstwo

    return float(kstwo.sf(value, size))


@lru_cache(maxsize=512)
def _ks_limit(size: int, share: float) -> float:
    from scipy.stats import kstwo

    return float(kstwo.isf(share, size))


@dataclass(frozen=True)
class Counted:
    """A share of rows whose probability is estimated from the reference: beta-binomial.

    Parameters
    ----------
    first, second : float
        Parameters of the beta distribution; `second` is 0 if the probability is 1.

    Examples
    --------
    >>> tail = Counted(100, 1, 500)  # nothing in 500 rows
    >>> round(tail.share(0.01), 3), tail.limit(0.01)
    (0.167, 0.025)
    """

    rows: int
    first: float
    second: float

    def share(self, value: float) -> float:
        """Return the share of windows with this value or more."""
        # a limit equal to a whole number of rows counts as reached by it
        place = int(np.ceil(value * self.rows - 1e-9))
        beyond = _beta_binomial(self.rows, self.first, self.second)
        return float(beyond[max(place, 0)]) if place <= self.rows else 0.0

    def limit(self, share: float) -> float:
        """Return the smallest value that at most this share reaches; infinity if there is none."""
        beyond = _beta_binomial(self.rows, self.first, self.second)
        place = int(np.searchsorted(-beyond, -share, side="left"))
        # halfway between two counts, so that rounding decides nothing
        return (place - 0.5) / self.rows if place <= self.rows else np.inf


@lru_cache(maxsize=4096)
def _beta_binomial(rows: int, first: float, second: float) -> Floats:
    """Return the probability of at least k rows, for each k."""
    from scipy.special import betaln, gammaln

    if second <= 0:
        return np.ones(rows + 1)
    count = np.arange(rows + 1)
    chosen = gammaln(rows + 1) - gammaln(count + 1) - gammaln(rows - count + 1)
    logs = chosen + betaln(count + first, rows - count + second) - betaln(first, second)
    at_least: Floats = np.minimum(np.cumsum(np.exp(logs)[::-1])[::-1], 1.0)
    return at_least


def missing(rows_missing: float, reference: float, rows: int) -> Counted:
    """Return the null distribution of the share of missing values.

    The probability that k or more of the window's rows are missing is that of a one-sided Fisher's
    exact test: with g missing rows in the reference, k or more of g + k are in the window. The
    test keeps its level for any true share.

    Examples
    --------
    >>> from scipy.stats import hypergeom
    >>> round(missing(3, 500, 100).share(0.04), 6) == round(hypergeom.sf(3, 600, 7, 100), 6)
    True
    """
    return Counted(rows, rows_missing + 1, reference - rows_missing)


def beyond_both_ends(reference: int, rows: int) -> Counted:
    """Return the null distribution of the share of numbers outside the reference's range.

    Exact for a continuous column: the reference's ranks among all rows are random, so the mass
    outside its extremes follows a beta distribution with parameters 2 and n - 1. Ties make the
    share smaller.

    Examples
    --------
    >>> round(beyond_both_ends(1, 1).share(1.0), 6)  # any other number is out of range
    1.0
    """
    return Counted(rows, 2, reference - 1)


def unseen(once: int, twice: int, reference: int, rows: int) -> Counted:
    """Return the null distribution of the share of values that the reference does not contain.

    Values that occur once in the reference estimate the share it has missed (Good, 1953); in rows,
    the variance of the estimate is once * (1 - share) + 2 * twice (Esty, 1982). `once` is increased
    by 1, as in `missing`: its being 0 does not prove that nothing was missed.

    Parameters
    ----------
    once, twice : int
        How many values occur once and twice in the reference.
    reference, rows : int
        Rows of the reference and of the window.

    Examples
    --------
    >>> unseen(0, 0, 500, 100) == Counted(100, 1.0, 500.0)
    True
    >>> unseen(500, 0, 500, 100).limit(0.01)  # every row has a value of its own
    inf
    """
    share = min((once + 1) / (reference + 1), 1.0)
    spread = ((once + 1) * (1 - share) + 2 * twice) / (reference + 1) / (reference + 2)
    if share >= 1 or not spread:
        return Counted(rows, 1, 0)
    size = max(share * (1 - share) / spread - 1, 1e-3)
    return Counted(rows, round(share * size, 9), round((1 - share) * size, 9))


def distances(old: Floats, weights: Floats, rows: int, windows: int, seed: int) -> dict[str, Tail]:
    """Return the null distributions of PSI, Jensen-Shannon distance and Cramer's V.

    Windows are simulated from shares that are themselves drawn from the Dirichlet distribution of
    the reference's counts. For quantile bins of a continuous column that is exact.

    Parameters
    ----------
    old, weights : array of float
        The reference's counts, and the pseudo-counts of the shares (`drift.Column.expected`).
    windows : int
        How many to simulate.

    Examples
    --------
    >>> tails = distances(np.full(10, 50.0), np.full(10, 50.0), 500, 4000, 0)
    >>> round(tails["psi"].limit(0.05), 2)  # the 95% quantile of chi-square, times 1/n + 1/m
    0.07
    """
    rng = np.random.default_rng(seed)
    new = _windows_of(np.tile(weights, (windows, 1)), rows, rng)
    return {
        "psi": _psi(old, weights, new, rows, rng),
        "js": Drawn(js_of(old, new)),
        "chi2": Drawn(cramers_v_of(old, new)),
    }


class Mixture:
    """Several kinds of windows, each with its probability and tail.

    Examples
    --------
    >>> low, high = (Drawn(np.full(100, value)) for value in (1.0, 5.0))
    >>> round(Mixture([(0.9, low), (0.1, high)]).share(2.0), 3)
    0.1
    """

    def __init__(self, parts: list[tuple[float, Tail]]) -> None:
        self._parts = parts
        self._known: dict[float, float] = {}

    def share(self, value: float) -> float:
        """Return the share of windows with this value or more."""
        return min(sum(weight * tail.share(value) for weight, tail in self._parts), 1.0)

    def limit(self, share: float) -> float:
        """Return the smallest value that at most this share reaches; infinity if there is none."""
        if share not in self._known:
            ends = [tail.limit(share / weight) for weight, tail in self._parts if weight > share]
            low, high = min(ends, default=0.0), max([*ends, 0.0]) + 1e-9
            while self.share(high) > share:
                high = 2 * high + 1e-3
            for _ in range(60):
                middle = (low + high) / 2 if np.isfinite(low) else high - 1.0
                low, high = (middle, high) if self.share(middle) > share else (low, middle)
            self._known[share] = high
        return self._known[share]


def _psi(old: Floats, weights: Floats, new: Floats, rows: int, rng: np.random.Generator) -> Tail:
    """Return the null distribution of the PSI, by how many bins the window leaves empty.

    An empty bin makes the PSI jump, so windows with none, one, two and more empty bins are separate
    distributions. Rare ones are simulated on purpose: sets of empty bins are drawn by their
    probability.
    """
    from scipy.special import gammaln

    empty = (new == 0).sum(axis=1)
    whole = psi_of(old, new)
    none = whole[empty == 0]
    parts: list[tuple[float, Tail]] = []
    if len(none):
        parts.append((len(none) / len(new), Drawn(none)))
    for count in range(1, min(_EMPTY, len(old) - 1) + 1):
        is_last = count == min(_EMPTY, len(old) - 1)
        sets = np.array(list(combinations(range(len(old)), count)))
        inside = weights[sets].sum(axis=1)
        every = weights.sum()
        logs = (
            gammaln(every - inside + rows)
            + gammaln(every)
            - gammaln(every + rows)
            - gammaln(every - inside)
        )
        chances = np.exp(logs)
        total = float(chances.sum())
        if total < _NEVER:
            break
        drawn = rng.choice(len(sets), _DRAWS_EMPTY, p=chances / total)
        left = np.tile(weights, (_DRAWS_EMPTY, 1))
        np.put_along_axis(left, sets[drawn], 0.0, axis=1)
        of_these = _windows_of(left, rows, rng)
        more = (of_these == 0).sum(axis=1)
        kept = of_these if is_last else of_these[more == count]
        if len(kept) > 1:
            parts.append((min(total * len(kept) / _DRAWS_EMPTY, 1.0), Drawn(psi_of(old, kept))))
    return Mixture(parts)


def _windows_of(weights: Floats, rows: int, rng: np.random.Generator) -> Floats:
    """Draw one window per row of weights; bins of weight 0 stay empty."""
    shares = rng.standard_gamma(weights)
    shares /= shares.sum(axis=1, keepdims=True)
    return np.asarray(rng.multinomial(rows, shares), dtype=np.float64)
