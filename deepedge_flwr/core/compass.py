"""FedCompass's arrival groups: nodes of different speed that are to arrive together.

Source: Li et al., FedCompass, ICLR 2024, arXiv:2309.14675, algorithms 1 and 2. The server measures
the seconds S_i that node i needs per local step and gives it as many steps Q as it can finish by
the time its group is expected. Time is passed in.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from .state import Names, Stateful, storable

#: A step that fits but for the rounding of clock readings fits.
_ROUNDING_STEPS = 1e-9
#: No step is faster than a real clock can tell.
_MIN_STEP_TIME_S = 1e-9
#: Groups are numbered from 1.
_NO_GROUP = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CompassOptions:
    """How groups are made; see `FedCompass` for the meaning of each field."""

    min_steps: int = 40
    max_steps: int = 200
    latest_time_factor: float = 1.2
    speed_momentum: float = 0.9

    def __post_init__(self) -> None:
        for name in ("min_steps", "max_steps"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} must be an integer >= 1, got {getattr(self, name)!r}")
        if self.min_steps > self.max_steps:
            raise ValueError(
                f"min_steps must be at most max_steps, got {self.min_steps} and {self.max_steps}"
            )
        if not 1 <= self.latest_time_factor < math.inf:
            raise ValueError(
                f"latest_time_factor must be >= 1 and finite, got {self.latest_time_factor}"
            )
        if not 0 < self.speed_momentum <= 1:
            raise ValueError(f"speed_momentum must be in (0, 1], got {self.speed_momentum}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What becomes of an update.

    Attributes
    ----------
    group : int | None
        The group whose buffer takes it, and for which its node waits; None if for nobody.
    is_late : bool
        Whether the general buffer takes it. If it is neither late nor of a group, its node had
        not been measured before, and the update is a version by itself.
    """

    group: int | None = None
    is_late: bool = False


@storable
@dataclass(slots=True)
class _Group:
    """Nodes to arrive at `expected_s`; `latest_s` is the last moment to arrive in time."""

    expected_s: float
    latest_s: float
    pending: set[int] = field(default_factory=set)
    arrived: set[int] = field(default_factory=set)


class Compass(Stateful):
    """All groups of a run.

    A group is closed, once and for all, when none of its nodes is pending or when its time is up;
    who arrives later is late, who waited in it is free. So no node waits beyond the latest time of
    its group, whatever happens to the others. Where the paper is silent: a node that is lost leaves
    its group; one that comes back with a known speed is assigned anew; one that is new starts with
    the least steps, whenever that is.

    Parameters
    ----------
    options : CompassOptions
        How groups are made.
    """

    STATE: Names = ("_step_time_s", "_groups", "_group_of", "_num_groups")

    def __init__(self, options: CompassOptions) -> None:
        self._options = options
        self._step_time_s: dict[int, float] = {}
        self._groups: dict[int, _Group] = {}
        self._group_of: dict[int, int] = {}
        self._num_groups = 0

    def assign(self, node_id: int, now_s: float) -> int:
        """Return the local steps of a node that is sent the model now; it joins or makes a group.

        Of the groups that leave it Q = floor((expected - now) / S) steps within the bounds it
        joins the one with the most. Otherwise it makes one to arrive with the next job of another,
        Q = max floor((expected + max_steps S_fastest - now) / S) within the bounds, or with
        `max_steps` if no group is expected. A node whose speed is unknown gets `min_steps` and no
        group. A free node must be assigned after those that are faster: see `fastest_first`.
        """
        step_time_s = self._step_time_s.get(node_id)
        if step_time_s is None:
            return self._options.min_steps
        self.lose(node_id)
        num_steps, group = self._join(step_time_s, now_s) or self._create(step_time_s, now_s)
        self._groups[group].pending.add(node_id)
        self._group_of[node_id] = group
        return num_steps

    def arrive(self, node_id: int, *, step_time_s: float | None, now_s: float) -> Arrival:
        """Note that a node has answered, and return what becomes of its update.

        Parameters
        ----------
        node_id : int
            The node.
        step_time_s : float | None
            Seconds per step of the job it has done; None if it did not do a step.
        now_s : float
            The time; exactly at its group's latest time a node is not late.
        """
        is_known = node_id in self._step_time_s
        if step_time_s is not None:
            self._measure(node_id, step_time_s)
        group = self._group(node_id)
        if group is None or node_id not in group.pending or now_s > group.latest_s:
            self.lose(node_id)
            return Arrival(is_late=is_known)
        group.pending.remove(node_id)
        group.arrived.add(node_id)
        return Arrival(group=self._group_of[node_id])

    def lose(self, node_id: int) -> None:
        """Wait no longer for a node's answer; one that waits itself goes on waiting."""
        if not self.is_waiting(node_id):
            if (group := self._group(node_id)) is not None:
                group.pending.discard(node_id)
            self._group_of.pop(node_id, None)

    def rename(self, old_id: int, new_id: int) -> None:
        """Give a node's speed to another id; the old one leaves its group."""
        self.lose(old_id)
        if (step_time_s := self._step_time_s.pop(old_id, None)) is not None:
            self._step_time_s.setdefault(new_id, step_time_s)

    def shift(self, offset_s: float) -> None:
        """Move the times of all groups: the clock was stopped, or is another one."""
        for group in self._groups.values():
            group.expected_s += offset_s
            group.latest_s += offset_s

    def is_waiting(self, node_id: int) -> bool:
        """Return whether a node has arrived and its group is not closed yet."""
        group = self._group(node_id)
        return group is not None and node_id in group.arrived

    def close_due(self, now_s: float) -> int | None:
        """Close a group that is complete or whose time is up; None if there is no such group.

        Its buffer and the general buffer are to be aggregated before its nodes are assigned.
        """
        for number, group in self._groups.items():
            if not group.pending or now_s > group.latest_s:
                del self._groups[number]
                return number
        return None

    def due_at_s(self) -> float | None:
        """Return when the next group is due by time alone: just after its latest time.

        Minus infinity if a complete one is yet to be closed, None if there is no group.
        """
        moments_s = (
            math.nextafter(group.latest_s, math.inf) if group.pending else -math.inf
            for group in self._groups.values()
        )
        return min(moments_s, default=None)

    def fastest_first(self, node_ids: Iterable[int]) -> list[int]:
        """Return nodes in the order of assignment: by seconds per step, then by node."""
        return sorted(node_ids, key=lambda n: (self._step_time_s.get(n, math.inf), n))

    def duration_s(self, node_id: int, num_steps: int) -> float | None:
        """Return the expected duration of a job, Q S; None if the node's speed is unknown."""
        step_time_s = self._step_time_s.get(node_id)
        return None if step_time_s is None else num_steps * step_time_s

    def _measure(self, node_id: int, step_time_s: float) -> None:
        """S <- (1 - m) S + m S_measured with m the momentum; the first one is taken as it is."""
        step_time_s = max(step_time_s, _MIN_STEP_TIME_S)
        if (old_s := self._step_time_s.get(node_id)) is not None:
            momentum = self._options.speed_momentum
            step_time_s = (1 - momentum) * old_s + momentum * step_time_s
        self._step_time_s[node_id] = step_time_s

    def _join(self, step_time_s: float, now_s: float) -> tuple[int, int] | None:
        """Return the most steps that fit an open group, and the group; of equals the last one."""
        options = self._options
        offers = (
            (_steps_until(group.expected_s, step_time_s, now_s), number)
            for number, group in self._groups.items()
            if group.pending
        )
        fitting = [o for o in offers if options.min_steps <= o[0] <= options.max_steps]
        return max(fitting, default=None)

    def _create(self, step_time_s: float, now_s: float) -> tuple[int, int]:
        """Open a group; return its first node's steps, and the group."""
        options, num_steps = self._options, self._options.max_steps
        next_s = [
            group.expected_s + options.max_steps * self._fastest_s(group)
            for group in self._groups.values()
            if group.pending and now_s < group.expected_s
        ]
        if next_s:
            fitting = _steps_until(max(next_s), step_time_s, now_s)
            num_steps = min(max(fitting, options.min_steps), options.max_steps)
        duration_s = num_steps * step_time_s
        self._num_groups += 1
        self._groups[self._num_groups] = _Group(
            expected_s=now_s + duration_s,
            latest_s=now_s + options.latest_time_factor * duration_s,
        )
        return num_steps, self._num_groups

    def _group(self, node_id: int) -> _Group | None:
        """Return the open group that a node belongs to."""
        return self._groups.get(self._group_of.get(node_id, _NO_GROUP))

    def _fastest_s(self, group: _Group) -> float:
        return min(self._step_time_s[node_id] for node_id in group.pending | group.arrived)


def _steps_until(end_s: float, step_time_s: float, now_s: float) -> int:
    return math.floor((end_s - now_s) / step_time_s + _ROUNDING_STEPS)
