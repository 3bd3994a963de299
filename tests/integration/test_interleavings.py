"""Whatever order things happen in, a run goes on, ends, and keeps its books."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import example, given, settings
from hypothesis import strategies as st

import deepedge_flwr
from deepedge_flwr.core.types import Telemetry
from deepedge_flwr.records import get_plan, put_telemetry
from deepedge_flwr.strategy import AsyncStrategy

NUM_NODES, NUM_ROUNDS = 4, 4
OPTIONS: dict[str, dict[str, Any]] = {
    "DeepEdge": {},
    "FedAsync": {},
    "FedBuff": {"buffer_size": 2},
    "CA2FL": {"buffer_size": 2},
    "FedCompass": {"min_steps": 1, "max_steps": 4},
    "FedNova": {},
    "DeadlineFedAvg": {},
}
SCALARS = st.one_of(
    st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=5), st.booleans(), st.binary()
)
NUMBERS = st.one_of(st.integers(-(2**60), 2**60), st.floats())
ARRAYS = st.builds(
    lambda shape, dtype, data, stype: Array(dtype, shape, stype, data),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.sampled_from(["float64", "float32", "int64", "object", "", "complex64", "<f9"]),
    st.one_of(st.binary(max_size=200), st.just(Array(np.ones(2)).data)),
    st.sampled_from(["numpy.ndarray", "", "torch"]),
)
#: Any content that Flower can carry: from a broken device, or from an attacker.
CONTENTS = st.dictionaries(
    st.sampled_from(["arrays", "metrics", "config", "deepedge.telemetry", "x"]),
    st.one_of(
        st.dictionaries(st.sampled_from(["w", "v"]), ARRAYS, max_size=2).map(ArrayRecord),
        st.dictionaries(st.sampled_from(["num-examples", "loss"]), NUMBERS).map(MetricRecord),
        st.dictionaries(
            st.sampled_from(["num-steps", "busy-s", "paused-s", "device-id", "y"]), SCALARS
        ).map(ConfigRecord),
    ),
    max_size=4,
).map(RecordDict)
NODES = st.integers(1, NUM_NODES)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), NODES),
        st.tuples(st.just("twice"), NODES),
        st.tuples(st.just("scale"), NODES, st.floats()),
        st.tuples(st.just("error"), NODES, st.integers(0, 12)),
        st.tuples(st.just("fuzz"), NODES, CONTENTS),
        st.tuples(st.just("stray"), NODES),
        st.tuples(st.just("leave"), NODES),
        st.tuples(st.just("join"), NODES),
        st.tuples(st.just("rename"), NODES),
        st.tuples(st.just("refuse"), NODES),
        st.tuples(st.just("pass"), st.floats(0.0, 200.0)),
    ),
    max_size=40,
)


class Fleet:
    """A grid and its clock: every wait plays the next action; at the end all devices are well."""

    def __init__(self, actions: list[tuple[Any, ...]]) -> None:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self.clock = self
        self._actions, self._now_s, self._num_messages = actions[::-1], 0.0, 0
        self._id_of = {node: node for node in range(1, NUM_NODES + 1)}
        self._connected = set(self._id_of)
        self._pending: dict[int, list[Message]] = {node: [] for node in self._id_of}
        self._arrived: list[Message] = []
        self._refusing: set[int] = set()
        self.ends: dict[str, str] = {}

    def now_s(self) -> float:
        return self._now_s

    def stir(self) -> None:
        """Whoever waits is told."""

    def wait(self, timeout_s: float) -> None:
        assert timeout_s < 1e6, "somebody waits for ever"
        if self._actions:
            name, *arguments = self._actions.pop()
            getattr(self, f"_{name}")(*arguments)
            return
        self._refusing.clear()
        self._connected = set(self._id_of)
        before = len(self._arrived)
        for node in self._id_of:
            self._answer(node)
        self._now_s += 1.0 if len(self._arrived) > before else timeout_s + 0.1

    def get_nodes(self) -> list[NodeInfo]:
        return [NodeInfo(node_id=i) for i in self.get_node_ids()]

    def get_node_ids(self) -> list[int]:
        return [self._id_of[node] for node in sorted(self._connected)]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            self._num_messages += 1
            node = next((n for n, i in self._id_of.items()
                         if i == message.metadata.dst_node_id), None)  # fmt: skip
            if node in self._refusing:
                ids.append("")
                continue
            message.metadata.__dict__["_message_id"] = f"m{self._num_messages}"
            ids.append(message.metadata.message_id)
            self.ends[ids[-1]] = "under way"
            if node is None:
                self._fail(message, 5)
            else:
                self._pending[node].append(message)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        wanted, waiting = set(message_ids), self._arrived
        taken = [m for m in waiting if m.metadata.reply_to_message_id in wanted | {"stray"}]
        self._arrived = [m for m in waiting if m not in taken]
        return taken

    def _reply(self, node: int, content: RecordDict | Error) -> None:
        if self._pending[node] and node in self._connected:
            message = self._pending[node].pop(0)
            self._arrived.append(Message(content, reply_to=message))
            self.ends[message.metadata.message_id] = "replied"

    def _good(self, node: int, scale: float = 1.0) -> RecordDict:
        content = RecordDict({"metrics": MetricRecord({"num-examples": node, "loss": 1.0})})
        if self._pending[node]:
            message = self._pending[node][0]
            start = message.content["arrays"]["w"].numpy()
            with np.errstate(all="ignore"):
                moved = start + scale * (node - start)
            content["arrays"] = ArrayRecord({"w": Array(moved)})
            if (plan := get_plan(message.content)) is not None:
                report = Telemetry(num_steps=plan.num_steps, busy_s=0.1, device_id=f"d{node}")
                put_telemetry(content, report)
        return content

    def _answer(self, node: int) -> None:
        self._now_s += 0.1
        self._reply(node, self._good(node))

    def _scale(self, node: int, scale: float) -> None:
        self._reply(node, self._good(node, scale))

    def _fuzz(self, node: int, content: RecordDict) -> None:
        self._reply(node, content)

    def _error(self, node: int, code: int) -> None:
        self._reply(node, Error(code, "it\nbroke"))

    def _twice(self, node: int) -> None:
        before = len(self._arrived)
        self._answer(node)
        self._arrived += self._arrived[before:]

    def _stray(self, node: int) -> None:
        if self._pending[node]:
            reply = Message(self._good(node), reply_to=self._pending[node][0])
            reply.metadata.__dict__["_reply_to_message_id"] = "stray"
            self._arrived.append(reply)

    def _fail(self, message: Message, code: int) -> None:
        self._arrived.append(Message(Error(code, "gone"), reply_to=message))
        self.ends[message.metadata.message_id] = "replied"

    def _leave(self, node: int) -> None:
        self._connected.discard(node)
        for message in self._pending[node]:
            self._fail(message, 5)
        self._pending[node] = []

    def _join(self, node: int) -> None:
        self._connected.add(node)

    def _rename(self, node: int) -> None:
        self._leave(node)
        self._id_of[node] += 100
        self._join(node)

    def _refuse(self, node: int) -> None:
        self._refusing ^= {node}

    def _pass(self, duration_s: float) -> None:
        self._now_s += duration_s


@pytest.mark.parametrize("name", OPTIONS)
@given(actions=ACTIONS)
@example(actions=[("pass", 5e-324), ("scale", 1, 0.0)])  # an infinite rate
@settings(max_examples=60, deadline=None)
def test_a_run_survives_any_interleaving(name: str, actions: list[tuple[Any, ...]]) -> None:
    fleet = Fleet(actions)
    strategy: AsyncStrategy = getattr(deepedge_flwr, name)(**OPTIONS[name])
    model = ArrayRecord({"w": Array(np.zeros(2))})
    result = strategy.start(fleet, model, num_rounds=NUM_ROUNDS)  # type: ignore[arg-type]
    assert strategy.version == NUM_ROUNDS
    assert np.all(np.isfinite(result.arrays["w"].numpy()))
    in_flight = strategy._exchange.in_flight
    unanswered = {i for i, end in fleet.ends.items() if end == "under way"}
    assert set(in_flight._waiting) <= set(fleet.ends)
    assert len(in_flight._waiting) == len(in_flight._busy)
    assert unanswered <= set(in_flight.message_ids) | set(fleet.ends)
    counts = [m["num-updates"] for m in result.train_metrics_clientapp.values()]
    assert sum(counts) + strategy._exchange.num_failures <= len(fleet.ends) + 10 * len(actions)
