"""How many samples a simulation draws, and how many of them chance may spoil."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Samples:
    """The whole simulation, or a share of it with bounds that chance exceeds as rarely.

    Parameters
    ----------
    share : float
    """

    share: float

    def of(self, count: int) -> int:
        """Return how many of so many samples are drawn."""
        return max(1, round(self.share * count))

    def most(self, hits: int, count: int, rate: float) -> int:
        """Return the bound for the samples drawn that is `hits` for all `count` of them.

        Chance exceeds it no more often, where each sample is hit at that rate.
        """
        # the smallest excess: rounding may not raise the bound
        tail = stats.binom.sf(hits, count, rate) * (1 + 1e-9)
        return int(stats.binom.isf(tail, self.of(count), rate))
