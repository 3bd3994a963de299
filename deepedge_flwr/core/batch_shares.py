"""A batch cut so that cores which differ in pace are done at the same time."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

#: How much of a share is what the last batch told, and the least share, of an even one: a part that
#: is too short tells nothing of the pace.
_NEWS, _LEAST = 0.1, 0.25


class BatchShares:
    """Each core's share of a batch.

    After a batch of which core `i` has computed `n_i` samples in `t_i` seconds its share becomes

        w_i <- w_i + 0.1 (r_i / sum_j r_j - w_i),    r_i = n_i / t_i,

    at least a quarter of an even share. That is its share of the pace, averaged over about ten
    batches: a service that is there now and then is part of it.

    Parameters
    ----------
    count : int
        How many cores, at least 1.

    Attributes
    ----------
    weights : list[float]
        The shares, which add up to 1; even ones at first.
    """

    def __init__(self, count: int) -> None:
        self.weights = [1 / count] * count

    def cut(self, num_samples: int) -> list[slice]:
        """Return each core's part of a batch, which may be empty; together they are all of it."""
        ends = [round(num_samples * total) for total in accumulate(self.weights)]
        return [slice(first, end) for first, end in pairwise([0, *ends[:-1], num_samples])]

    def learn(self, parts: Sequence[slice], times_s: Sequence[float]) -> None:
        """Take note of how long each core took for its part.

        Parameters
        ----------
        parts : Sequence[slice]
            As `cut` has made them.
        times_s : Sequence[float]
            Of each part. Where a part is empty, or was too short for the clock, nothing is learned.
        """
        sizes = [part.stop - part.start for part in parts]
        if min(sizes) == 0 or min(times_s) <= 0:
            return
        paces = [size / time_s for size, time_s in zip(sizes, times_s, strict=True)]
        of_all, least = sum(paces), _LEAST / len(paces)
        weights = [
            max(least, weight + _NEWS * (pace / of_all - weight))
            for weight, pace in zip(self.weights, paces, strict=True)
        ]
        self.weights = [weight / sum(weights) for weight in weights]
