"""Faults as data: what goes wrong in a simulated fleet, where and when."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .presence import Interval
from .tampering import CONTENT_KINDS, CORRUPTIONS

#: Faults of a device, at a time.
DEVICE_KINDS = ("crash", "restart", "partition")
#: Faults of a message.
MESSAGE_KINDS = ("hang", "lose", "duplicate", "stray", "reject", "error")
KINDS = (*DEVICE_KINDS, *MESSAGE_KINDS, *CONTENT_KINDS)


class ServerKilled(Exception):
    """The server was killed after an event, as its fault plan says; its grid is of no more use."""

    def __init__(self, event: int) -> None:
        super().__init__(f"the server was killed at event {event}")
        self.event = event


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    kind : str
        Of a device, from `at_s` on:

        - `crash`: the job that runs is lost, and so is what the device had received; it is off
          the network until `back_s`, and at least until the server has noticed;
        - `restart`: the same, but it comes back at `back_s` under a new node id, beyond those of
          the fleet, and with the same hardware, data and `device-id`;
        - `partition`: it is off the network until `back_s` and goes on computing.

        Of a training message:

        - `hang`: the reply leaves `value` seconds after it is ready (infinity: never), and the
          device takes no other job meanwhile;
        - `lose`: the reply is lost on its way;
        - `duplicate`: the reply is delivered twice;
        - `stray`: with the reply comes another one, to a message that was never sent;
        - `reject`: the grid does not accept the message;
        - `error`: the reply is an error with the code `value` instead.

        Of the content of a reply (see `tampering`): `nan`, `inf`, `huge`, `sign_flip`, `scale` by
        `value`, and `corrupt`, where `value` is the place of the corruption in `CORRUPTIONS`.
    node : int
        Node id, from 1.
    dispatch : int | None (default: None)
        The how-manieth training message of the node, from 0; None for all of them.
    at_s, back_s : float
        When it begins, and when the device is back (default: never).
    value : float
        See above (default: infinity for `hang`, 2 for `error`, 100 for `scale`, else 0).
    """

    kind: str
    node: int
    dispatch: int | None = None
    at_s: float | None = None
    back_s: float = math.inf
    value: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.node < 1:
            raise ValueError(f"fault node must be a node id >= 1, got {self.node}")
        if (self.kind in DEVICE_KINDS) != (self.at_s is not None):
            raise ValueError(
                f"fault {self.kind} of node {self.node}: at_s is for {', '.join(DEVICE_KINDS)} "
                f"and needed there, got {self.at_s}"
            )
        if self.at_s is not None and not 0 <= self.at_s < self.back_s:
            raise ValueError(
                f"fault {self.kind} of node {self.node}: need 0 <= at_s < back_s, got {self.at_s} "
                f"and {self.back_s}"
            )
        if self.dispatch is not None and (self.dispatch < 0 or self.kind in DEVICE_KINDS):
            raise ValueError(
                f"fault {self.kind} of node {self.node}: dispatch must be >= 0, and None for "
                f"{', '.join(DEVICE_KINDS)}, got {self.dispatch}"
            )
        self._check_amount()

    def _check_amount(self) -> None:
        amount = self.amount
        rules = {
            "hang": ("> 0", amount > 0),
            "error": ("an error code >= 0", amount >= 0 and amount == int(min(amount, 1e9))),
            "scale": ("a finite number", math.isfinite(amount)),
            "corrupt": (f"from 0 to {len(CORRUPTIONS) - 1}", amount in range(len(CORRUPTIONS))),
        }
        rule, is_kept = rules.get(self.kind, ("None", self.value is None))
        if not is_kept:
            raise ValueError(
                f"fault {self.kind} of node {self.node}: value must be {rule}, got {self.value}"
            )

    @property
    def amount(self) -> float:
        """`value`, or its default."""
        if self.value is not None:
            return self.value
        return {"hang": math.inf, "error": 2.0, "scale": 100.0}.get(self.kind, 0.0)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """All faults of a run; the sum of two plans has the faults of both.

    Attributes
    ----------
    faults : tuple[Fault, ...]
        Of devices and messages.
    server_kills : tuple[int, ...]
        Events right after which the grid raises `ServerKilled` in the server, counted from 1. An
        event is a row `dispatch`, `reply`, `answer` or `error` of the ledger.
    """

    faults: tuple[Fault, ...] = ()
    server_kills: tuple[int, ...] = ()
    _of_node: dict[int, list[Fault]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        of_node: dict[int, list[Fault]] = defaultdict(list)
        for fault in self.faults:
            of_node[fault.node].append(fault)
        object.__setattr__(self, "faults", tuple(self.faults))
        object.__setattr__(self, "server_kills", tuple(self.server_kills))
        object.__setattr__(self, "_of_node", dict(of_node))

    def __add__(self, other: "FaultPlan") -> "FaultPlan":
        return FaultPlan(self.faults + other.faults, self.server_kills + other.server_kills)

    def after(self, event: int) -> "FaultPlan":
        """Return the plan of a server that goes on where one was killed."""
        return FaultPlan(self.faults, tuple(k for k in self.server_kills if k > event))

    @property
    def renames(self) -> bool:
        """Whether a device comes back under a new node id."""
        return any(fault.kind == "restart" for fault in self.faults)

    def of_device(self, node: int, *kinds: str) -> list[Fault]:
        """Return the faults of some kinds that a device has, by time."""
        found = [f for f in self._of_node.get(node, ()) if f.kind in kinds]
        return sorted(found, key=lambda fault: fault.at_s or 0.0)

    def of_message(self, node: int, dispatch: int) -> tuple[Fault, ...]:
        """Return the faults of a training message and its reply."""
        return tuple(
            fault
            for fault in self._of_node.get(node, ())
            if fault.at_s is None and fault.dispatch in (None, dispatch)
        )

    def absences(
        self, node: int, notice_s: float, reborn: Fault | None
    ) -> tuple[list[Interval], list[Interval]]:
        """Return a node's crashes, [when, back), and all absences of its faults, in order.

        The life after a restart, `reborn`, begins with it.
        """
        if reborn is not None:
            return [], [(-math.inf, reborn.back_s)]
        crashes = []
        for fault in self.of_device(node, "crash", "restart"):
            at_s = fault.at_s or 0.0
            is_back = fault.kind == "crash"
            crashes.append((at_s, max(fault.back_s, at_s + notice_s) if is_back else math.inf))
        partitions = [(f.at_s or 0.0, f.back_s) for f in self.of_device(node, "partition")]
        return crashes, sorted(crashes + partitions)

    def check(self, num_nodes: int) -> None:
        """Raise ValueError if a fault is of a node that the fleet does not have."""
        for node in sorted(self._of_node):
            if node > num_nodes:
                raise ValueError(
                    f"fault node must be at most the number of devices ({num_nodes}), got {node}"
                )


NO_FAULTS = FaultPlan()


def combine_faults(plans: Iterable[FaultPlan]) -> FaultPlan:
    """Return one plan with the faults of all."""
    return sum(plans, start=NO_FAULTS)


def random_faults(
    kind: str,
    num_nodes: int,
    share: float,
    seed: int,
    *,
    value: float | None = None,
    mean_up_s: float = 100.0,
    mean_down_s: float = 30.0,
    until_s: float = 600.0,
) -> FaultPlan:
    """Give a share of the nodes a fault: on all their messages, or at random times.

    Parameters
    ----------
    kind : str
        See `Fault`. Of `restart` a node has one.
    num_nodes : int
        Nodes of the fleet.
    share : float
        Share of them with the fault, rounded to whole nodes; which ones is a function of `seed`.
    seed : int
        Of the choice and the times.
    value : float | None (default: None)
        See `Fault`.
    mean_up_s, mean_down_s : float (default: 100.0, 30.0)
        For devices: means of the exponential times between two faults, and until one is over.
    until_s : float (default: 600.0)
        Time up to which a fault may begin.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"faults share must be in [0, 1], got {share}")
    if not (mean_up_s > 0 and mean_down_s > 0 and 0 < until_s < math.inf):
        raise ValueError(
            f"need mean_up_s, mean_down_s and a finite until_s > 0, got {mean_up_s}, "
            f"{mean_down_s} and {until_s}"
        )
    chosen = np.random.default_rng((seed, *kind.encode())).permutation(num_nodes)
    nodes = sorted(int(i) + 1 for i in chosen[: round(share * num_nodes)])
    if kind not in DEVICE_KINDS:
        return FaultPlan(tuple(Fault(kind=kind, node=node, value=value) for node in nodes))
    faults = []
    for node in nodes:
        random, back_s = np.random.default_rng((seed, node, *kind.encode())), 0.0
        while (at_s := back_s + float(random.exponential(mean_up_s))) < until_s:
            back_s = at_s + float(random.exponential(mean_down_s))
            faults.append(Fault(kind=kind, node=node, at_s=at_s, back_s=back_s, value=value))
            if kind == "restart":
                break
    return FaultPlan(tuple(faults))
