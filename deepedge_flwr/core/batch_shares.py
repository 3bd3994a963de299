"""A batch cut so that cores which differ in pace are done at the same time."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

#: Of the last batch in what is remembered, once there were ten.
_NEWS = 0.1
#: Of an even share; less would be too short to tell a pace.
_LEAST = 0.05


class BatchShares:
    """Each core's share of a batch.

    Where core `i` has computed `n_i` samples of batch `k` in `t_i` seconds, its share becomes

        w_i <- w_i + max(0.1, 1 / (k + 1)) (r_i / sum_j r_j - w_i),    r_i = n_i / t_i:

    its share of the pace, averaged over the batches and the even cut before them, and from ten on
    over about the last ten. So a service that is there now and then is part of it. No share falls
    below a twentieth of an even one, before all are scaled to add up to 1 again.

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
        self._num_batches = 0

    def cut(self, num_samples: int) -> list[slice]:
        """Return each core's part of a batch, in order; together they are all of it.

        A core has one sample at least. If there are fewer than cores, the last ones have none.
        """
        spare = max(0, num_samples - len(self.weights))
        ends = [
            min(num_samples, one_each + round(spare * total))
            for one_each, total in enumerate(accumulate(self.weights), start=1)
        ]
        return [slice(first, end) for first, end in pairwise([0, *ends[:-1], num_samples])]

    def learn(self, parts: Sequence[slice], times_s: Sequence[float]) -> None:
        """Take note of how long each core took for its part.

        Parameters
        ----------
        parts : Sequence[slice]
            As `cut` has made them.
        times_s : Sequence[float]
            Of each part. If one was too short for the clock, or there are fewer parts than cores,
            nothing is learned.
        """
        if len(times_s) < len(self.weights) or min(times_s) <= 0:
            return
        self._num_batches += 1
        news, least = max(_NEWS, 1 / (self._num_batches + 1)), _LEAST / len(parts)
        paces = [
            (part.stop - part.start) / time_s for part, time_s in zip(parts, times_s, strict=True)
        ]
        weights = [
            max(least, weight + news * (pace / sum(paces) - weight))
            for weight, pace in zip(self.weights, paces, strict=True)
        ]
        self.weights = [weight / sum(weights) for weight in weights]
