"""Messages out, updates in: who has been sent which model, and what came back of it."""

from dataclasses import dataclass

import numpy as np
from flwr.app import ArrayRecord, Message, RecordDict

from ..core.guard import UpdateGuard
from ..core.in_flight import InFlight
from ..core.state import Names, State, Stateful
from ..core.types import Dispatch, Telemetry, Update
from ..layout import ModelLayout
from ..records import (
    DISPATCH_INDEX,
    closed_for_s,
    get_config,
    get_plan,
    records_from_bytes,
    records_of,
    records_to_bytes,
)
from .events import Events
from .membership import QUARANTINE_AFTER, Membership
from .replies import BadReply, read_update


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A good reply.

    Attributes
    ----------
    update : Update
        What it changes.
    telemetry : Telemetry | None
        What the node said about it.
    dispatch : Dispatch
        What it answers.
    former_node_id : int | None
        Under which node id the device was known that now answers under another one.
    """

    update: Update
    telemetry: Telemetry | None
    dispatch: Dispatch
    former_node_id: int | None = None


class Exchange(Stateful):
    """The server's side of all training messages of a run. Time is passed in.

    Parameters
    ----------
    layout : ModelLayout
        What a model looks like.
    weighted_by_key : str
        The reply metric that holds a node's weight.
    guard : UpdateGuard | None (default: None)
        Which updates are believed; None for the usual bounds.
    per_node : int (default: 1)
        Most messages under way to one node.

    Attributes
    ----------
    events : Events
        What nodes have gone through.
    members : Membership
        Which nodes may be given work.
    in_flight : InFlight
        What is on its way.
    longest_round_trip_s : float
        Of the good replies so far.
    last_failure : str
        The latest failure, in words.
    discarded : set[str]
        Ids of the messages whose reply has arrived but enters no model.
    """

    STATE: Names = (
        "members",
        "in_flight",
        "events",
        "last_failure",
        "discarded",
        "_lost",
        "_guard",
        "_node_of",
        "longest_round_trip_s",
    )

    def __init__(
        self,
        layout: ModelLayout,
        weighted_by_key: str,
        guard: UpdateGuard | None = None,
        per_node: int = 1,
    ) -> None:
        self._layout, self._weighted_by_key = layout, weighted_by_key
        self._guard = UpdateGuard() if guard is None else guard
        self.members, self.in_flight, self.events = Membership(), InFlight(per_node), Events()
        self.last_failure, self.longest_round_trip_s = "none", 0.0
        self._node_of: dict[str, int] = {}
        self.discarded: set[str] = set()
        self._lost: list[int] = []
        self._bases: dict[int, ArrayRecord] = {}

    def sent(self, message: Message, base: ArrayRecord, version: int, now_s: float,
             timeout_s: float) -> None:  # fmt: skip
        """Remember a message that the grid has accepted, and the model it carries."""
        node_id = message.metadata.dst_node_id
        self.in_flight.add(
            Dispatch(
                message_id=message.metadata.message_id,
                node_id=node_id,
                model_version=version,
                index=int(get_config(message.content)[DISPATCH_INDEX]),
                sent_at_s=now_s,
                expires_at_s=now_s + timeout_s,
                plan=get_plan(message.content),
            )
        )
        if self.in_flight.is_busy(node_id):
            self.members.occupy(node_id)
        self._bases[version] = base

    def failed(self, node_id: int, reason: str, now_s: float) -> None:
        """Note that a node did not deliver: an event, logged in one line."""
        self.last_failure = f"node {node_id}: {reason}"
        self.events.happened("failed", node_id, reason)
        if self.members.failed(node_id, now_s):
            text = f"in quarantine after {QUARANTINE_AFTER} failures in a row"
            self.events.happened("quarantined", node_id, text)
        # A node that failed to answer an old message may still be busy with its newest one.
        if self.in_flight.is_idle(node_id):
            self._lost.append(node_id)

    @property
    def num_failures(self) -> int:
        """Dispatches that ended without an update so far."""
        return self.events.counts["failed"]

    def take_lost(self) -> list[int]:
        """Return the nodes whose message ended without an update since the last call."""
        lost, self._lost = self._lost, []
        return lost

    def expire(self, now_s: float) -> None:
        """Give up waiting for overdue replies and free their nodes."""
        for dispatch in self.in_flight.expire(now_s):
            self._expired(dispatch, now_s)

    def suspect(self, node_ids: set[int], now_s: float) -> None:
        """Send no work to nodes that miss heartbeats, and wait no longer for what they have."""
        new, cleared = self.members.suspect(node_ids)
        for node_id in new:
            self.events.happened("suspected", node_id, "misses heartbeats")
            for dispatch in self.in_flight.give_up(node_id):
                self._expired(dispatch, now_s)
        for node_id in cleared:
            self.events.happened("cleared", node_id, "is heard of again")

    def _expired(self, dispatch: Dispatch, now_s: float) -> None:
        self.members.release(dispatch.node_id)
        self.events.happened("expired", dispatch.node_id)
        self.failed(dispatch.node_id, f"no reply for {now_s - dispatch.sent_at_s:.1f} s", now_s)

    def settle(self, reply: Message, now_s: float) -> Accepted | None:
        """Take a reply; None if nobody asked for it or if it must not touch the model."""
        dispatch = self.in_flight.settle(reply.metadata.reply_to_message_id)
        if dispatch is None:
            return None
        if not self.in_flight.is_busy(dispatch.node_id):
            self.members.release(dispatch.node_id)
        if (opens_in_s := closed_for_s(reply)) is not None:
            self._deferred(dispatch.node_id, opens_in_s, now_s)
            return None
        base = self._layout.to_vector(self._bases[dispatch.model_version])
        try:
            update, telemetry = read_update(
                reply, dispatch, base, self._layout, self._weighted_by_key
            )
            self._check(update)
        except BadReply as error:
            if reply.has_content():
                self.discarded.add(dispatch.message_id)
                self.events.happened("rejected", dispatch.node_id)
            self.failed(dispatch.node_id, str(error), now_s)
            return None
        if self.members.succeeded(dispatch.node_id):
            self.events.happened("readmitted", dispatch.node_id, "good again, out of quarantine")
        round_trip_s = now_s - dispatch.sent_at_s
        self.longest_round_trip_s = max(self.longest_round_trip_s, round_trip_s)
        former = self._former_id(dispatch.node_id, telemetry)
        return Accepted(
            update=update, telemetry=telemetry, dispatch=dispatch, former_node_id=former
        )

    def _deferred(self, node_id: int, opens_in_s: float, now_s: float) -> None:
        self.members.defer(node_id, now_s + opens_in_s)
        self.events.happened("deferred", node_id, f"trains again in {opens_in_s:.0f} s")
        self._lost.append(node_id)

    def _check(self, update: Update) -> None:
        with np.errstate(over="ignore"):
            norm, base_norm = (float(np.sqrt(v @ v)) for v in (update.delta, update.base))
        reason = self._guard.reason_against(
            norm=norm,
            base_norm=base_norm,
            num_steps=update.num_steps,
            num_examples=update.num_examples,
        )
        if reason is not None:
            raise BadReply(reason)

    def _former_id(self, node_id: int, telemetry: Telemetry | None) -> int | None:
        """Return the id of a node that has gone and reported the same device id."""
        if telemetry is None or not telemetry.device_id:
            return None
        former = self._node_of.setdefault(telemetry.device_id, node_id)
        if former == node_id or former in self.members.node_ids:
            return None
        self._node_of[telemetry.device_id] = node_id
        self.members.rename(former, node_id)
        text = f"is the device {telemetry.device_id!r} that was node {former}"
        self.events.happened("renamed", node_id, text)
        return former

    def models_state(self) -> State:
        """Return the old models that replies may still be measured against, by version."""
        return {str(v): records_to_bytes(RecordDict({"": m})) for v, m in self._bases.items()}

    def restore_models(self, state: State) -> None:
        """Take over those models."""
        for version, data in state.items():
            (self._bases[int(version)],) = records_of(records_from_bytes(data), ArrayRecord)

    def abandon(self) -> None:
        """Expect no reply any more: its nodes will be sent the same work again, with no blame."""
        self._lost += self.in_flight.abandon()
        self.members.forget_connections()
        self._bases = {}

    def forget_unused_models(self) -> None:
        """Drop the old models that no unanswered dispatch started from."""
        needed = self.in_flight.model_versions
        self._bases = {v: base for v, base in self._bases.items() if v in needed}
