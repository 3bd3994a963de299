"""How the updates of a buffer become one: plainly, against hostile nodes, or in private."""

import secrets
from typing import Literal, get_args

from flwr.app import MetricRecord

from ..core.privacy import Privacy, PrivateSums
from ..core.robust import Consensus, NormClip, TrimmedBuffer
from ..core.state import Names, Stateful
from ..core.types import Update, Vector
from .accountant import epsilon, require_accountant
from .contributions import Contributions

Combination = Literal["mean", "trimmed_mean", "clipped_mean", "consensus"]


class Combiner(Stateful):
    """What is done to updates on their way into a version.

    Parameters
    ----------
    combine : Combination
        How a buffer becomes one update, see `core.robust`.
    trim : float
        Share of the values that `trimmed_mean` leaves out at each end, in [0, 0.5).
    privacy : Privacy | None
        Clips, adds noise and counts, see `core.privacy`; with the plain mean only, as the others
        look at more of an update than they tell.

    Raises
    ------
    ValueError
        If an option is out of range, or these do not go together.
    """

    STATE: Names = ("_clip", "_consensus", "_private")

    def __init__(self, combine: Combination, trim: float, privacy: Privacy | None) -> None:
        if combine not in get_args(Combination):
            raise ValueError(f"combine must be one of {get_args(Combination)}, got {combine!r}")
        if not 0 <= trim < 0.5:
            raise ValueError(f"trim must be in [0, 0.5), got {trim}")
        self._combine, self._trim, self._privacy = combine, trim, privacy
        self._clip, self._consensus = NormClip(), Consensus()
        self._private: PrivateSums | None = None
        if privacy is not None:
            if combine != "mean":
                raise ValueError(f"with privacy combine must be 'mean', got {combine!r}")
            require_accountant()
            seed = secrets.randbits(128) if privacy.seed is None else privacy.seed
            self._private = PrivateSums(privacy, seed)

    def contributions(self, num_parameters: int) -> Contributions:
        """Return an empty buffer of the kind that is needed."""
        trimmed = TrimmedBuffer(num_parameters, self._trim)
        return Contributions(num_parameters, trimmed if self._combine == "trimmed_mean" else None)

    def reason_against(self, update: Update) -> str | None:
        """Return why an update is left out, or None."""
        if self._combine != "consensus" or self._consensus.admits(update.node_id, update.delta):
            return None
        return "pulls against all others"

    def shortened(self, node_id: int, vector: Vector, weight: float) -> Vector:
        """Return what is buffered of a node's update."""
        if self._private is not None:
            return self._private.clipped(node_id, vector, weight)
        if self._combine in ("clipped_mean", "consensus"):
            return self._clip(vector, weight)
        return vector

    def complete(self, contributions: Contributions, version: int, num_parameters: int) -> None:
        """Add the noise of a version to its buffer."""
        if self._private is not None:
            contributions.updates.blur(self._private.noise(version, num_parameters))

    def moved(self, step: Vector) -> None:
        """Take note of how the model has moved."""
        if self._combine == "consensus":
            self._consensus.moved(step)

    def renamed(self, old_id: int, new_id: int) -> None:
        """Take note that a device is back under another node id."""
        if self._private is not None:
            self._private.renamed(old_id, new_id)

    def resumed(self) -> None:
        """Take note that versions may be made again, from other updates."""
        if self._private is not None:
            self._private.renew(secrets.randbits(128))

    def loss(self) -> MetricRecord:
        """Return what all versions have told about the node seen most; nothing if not private."""
        if self._private is None or self._privacy is None:
            return MetricRecord()
        spent = epsilon(self._private.noise_multiplier, self._privacy.delta)
        return MetricRecord({"privacy-epsilon": spent, "privacy-delta": self._privacy.delta})
