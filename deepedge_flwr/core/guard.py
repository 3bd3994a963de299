"""Which updates are believable: neither absurdly long nor absurdly heavy."""

import math
from statistics import median

from .state import Names, Stateful

#: Updates to have seen before the median of their lengths means something.
_ENOUGH = 5
#: Until then only what no training step does is absurd, in lengths of the model.
_ABSURD = 1e6


class Window(Stateful):
    """The last values of a stream, and their median.

    Parameters
    ----------
    length : int (default: 101)
        How many.
    """

    STATE: Names = ("_values",)

    def __init__(self, length: int = 101) -> None:
        self._length = length
        self._values: list[float] = []

    def add(self, value: float) -> None:
        """Take note of a value; one that is not finite says nothing."""
        if math.isfinite(value):
            self._values = [*self._values[1 - self._length :], value]

    @property
    def median(self) -> float | None:
        """The median; None of too few values."""
        return median(self._values) if len(self._values) >= _ENOUGH else None


class UpdateGuard(Stateful):
    """Tell updates that a working device sends from those of a broken or hostile one.

    An update is rejected if

        |delta| / sqrt(h) > norm_bound * median   or   n > examples_bound * median

    where h is the number of its local steps, n the number of its node's examples, and the medians
    are those of the last 101 updates. Local steps are noisy, so an update grows about as the square
    root of their number: dividing by it makes short and long jobs comparable. The rejected ones are
    in the medians too: a minority cannot move them, and when all updates have changed their scale,
    it takes half a window until they are believed. The first five are only compared with the model,
    |delta| <= 1e6 (1 + |w|).

    Parameters
    ----------
    norm_bound : float | None (default: 100.0)
        Longest believable update in medians; None for no bound.
    examples_bound : float | None (default: 1000.0)
        Most believable examples in medians; None for no bound.

    Raises
    ------
    ValueError
        If a bound is not > 1.
    """

    STATE: Names = ("_norms", "_examples")

    def __init__(
        self, norm_bound: float | None = 100.0, examples_bound: float | None = 1000.0
    ) -> None:
        for name, bound in (("norm_bound", norm_bound), ("examples_bound", examples_bound)):
            if bound is not None and not bound > 1:
                raise ValueError(f"{name} must be > 1 or None, got {bound}")
        self._norm_bound, self._examples_bound = norm_bound, examples_bound
        self._norms, self._examples = Window(), Window()

    def reason_against(
        self, *, norm: float, base_norm: float, num_steps: int | None, num_examples: float
    ) -> str | None:
        """Return why an update must not be used, in words; None if it may.

        Parameters
        ----------
        norm, base_norm : float
            |delta| and |w| of the model that was sent.
        num_steps : int | None
            Local steps done; None if unknown.
        num_examples : float
            The node's weight in the objective.
        """
        length = norm / math.sqrt(num_steps or 1)
        usual, usual_examples = self._norms.median, self._examples.median
        self._norms.add(length)
        self._examples.add(num_examples)
        if self._norm_bound is not None and num_steps != 0:
            longest = _ABSURD * (1 + base_norm) if usual is None else self._norm_bound * usual
            if usual != 0 and not length <= longest:
                return f"the update is too long: {length:.3g} per root of its steps, at most " \
                       f"{longest:.3g}"  # fmt: skip
        if self._examples_bound is not None and usual_examples is not None:
            most = self._examples_bound * usual_examples
            if not num_examples <= most:
                return f"the node claims {num_examples:.3g} examples, at most {most:.3g}"
        return None
