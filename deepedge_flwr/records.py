"""Between our types and Flower's records: the only place that knows key strings.

Down, the plan is prefixed keys in the message's one ConfigRecord (a second one breaks Flower's
privacy mods); up, the telemetry is a ConfigRecord (a second MetricRecord aborts stock FedAvg).
"""

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto

from .core.types import Telemetry, TrainPlan

Record = TypeVar("Record", ArrayRecord, ConfigRecord, MetricRecord)

SERVER_ROUND = "server-round"
DISPATCH_INDEX = "deepedge.dispatch-index"
SIMULATED_DEVICE = "deepedge.simulated-device"
TELEMETRY = "deepedge.telemetry"
DEVICE_ID = "device-id"
LATENCY_BUDGET_MS = "latency-budget-ms"

_PLAN = {
    "num_steps": "deepedge.num-steps",
    "model_version": "deepedge.model-version",
    "deadline_s": "deepedge.deadline-s",
    "latency_budget_s": "deepedge.latency-budget-s",
    "latency_quantile": "deepedge.latency-quantile",
}
_GATE, _MEMORY = "deepedge.gate", "memory"
_CLOSED = re.compile(r"train-window: closed for another (\d+) s")
_TELEMETRY = {name: name.replace("_", "-") for name in Telemetry.__slots__}
#: Sent only if there is something to say; of a text a server believes so many characters.
_REMARKS = {"trouble": 300, "isolation": 200}
_IF_ANY = {*_REMARKS, "yielded", "latency-quantile"}
_COUNTS = ("num_steps", "num_requests", "num_violations")
_MAX_COUNT = 10**9


def put_plan(config: ConfigRecord, plan: TrainPlan | None, dispatch_index: int) -> ConfigRecord:
    """Return a copy of the user's config with a plan in it; the original is never touched."""
    record = ConfigRecord(dict(config))
    record[DISPATCH_INDEX] = dispatch_index
    if plan is not None:
        record.update(
            {key: getattr(plan, f) for f, key in _PLAN.items() if getattr(plan, f) is not None}
        )
    return record


def get_plan(content: RecordDict) -> TrainPlan | None:
    """Return the plan in a message; None if it carries none.

    Raises
    ------
    ValueError
        If a value of the plan is out of range.
    """
    config = get_config(content)
    if _PLAN["num_steps"] not in config:
        return None
    fields: dict[str, Any] = {f: config[key] for f, key in _PLAN.items() if key in config}
    return TrainPlan(**fields)


def get_config(content: RecordDict) -> Mapping[str, Any]:
    """Return the message's ConfigRecord, the telemetry aside; empty if it has none."""
    for name, record in content.items():
        if isinstance(record, ConfigRecord) and name != TELEMETRY:
            return record
    return {}


def records_of(content: RecordDict, kind: type[Record]) -> list[Record]:
    """Return the records of a kind in a message, in order."""
    # Flower's `content.metric_records` checks and copies all entries at every use.
    return [record for record in content.values() if isinstance(record, kind)]


def put_telemetry(content: RecordDict, telemetry: Telemetry) -> None:
    """Add a node's report to its reply."""
    said = {key: getattr(telemetry, f) for f, key in _TELEMETRY.items()}
    record = ConfigRecord({k: v for k, v in said.items() if k not in _IF_ANY or v})
    if not telemetry.device_id:
        # Flower's `message_size_mod` fails on an empty text, but not on one in a list.
        record[DEVICE_ID] = [""]
    content[TELEMETRY] = record


def get_telemetry(content: RecordDict) -> Telemetry | None:
    """Return the report in a reply; None if it carries none.

    Raises
    ------
    ValueError
        If a field is missing, unknown, not a number, negative, or cannot be true.
    """
    record = content.get(TELEMETRY)
    if not isinstance(record, ConfigRecord):
        return None
    fields: dict[str, Any] = {key.replace("-", "_"): value for key, value in record.items()}
    device_id, yielded = fields.pop("device_id", ""), fields.pop("yielded", False)
    remarks: dict[str, Any] = {n: _line(fields.pop(n, ""), size) for n, size in _REMARKS.items()}
    for name, value in fields.items():
        if type(value) not in (int, float) or not 0 <= value < np.inf:
            raise ValueError(f"telemetry {name} must be a finite number >= 0, got {value!r}")
        if name in _COUNTS and not (type(value) is int and value <= _MAX_COUNT):
            raise ValueError(f"telemetry {name} must be an integer <= {_MAX_COUNT}, got {value!r}")
    try:
        name = "" if device_id == [""] else str(device_id)
        told = Telemetry(device_id=name, yielded=bool(yielded), **remarks, **fields)
    except TypeError as error:
        raise ValueError(f"telemetry has the wrong fields: {error}") from error
    if told.num_violations > told.num_requests or told.latency_quantile >= 1:
        raise ValueError(
            f"telemetry cannot be true: {told.num_violations} violations of {told.num_requests} "
            f"requests, quantile {told.latency_quantile}"
        )
    return told


def _line(value: Any, size: int) -> str:
    """Return so much of what a node says as fits into a line of a log, and cannot forge one."""
    text = " ".join(str(value)[:size].split())
    return "".join(character for character in text if character.isprintable())


def get_gate_memory(state: RecordDict) -> list[float]:
    """Return what a node's last gate left in its `Context.state`; empty if nothing."""
    record = state.get(_GATE)
    memory = record.get(_MEMORY) if isinstance(record, ConfigRecord) else None
    return [float(value) for value in memory] if isinstance(memory, list) else []


def put_gate_memory(state: RecordDict, memory: list[float]) -> None:
    """Leave it there for the gate of the node's next message; nothing, if it knows nothing."""
    if memory:
        state[_GATE] = ConfigRecord({_MEMORY: memory})
    elif _GATE in state:
        del state[_GATE]


def closed_error(opens_in_s: float) -> Error:
    """Return what a node answers outside its training window: an error to any strategy."""
    text = f"train-window: closed for another {math.ceil(opens_in_s)} s"
    return Error(ErrorCode.MOD_FAILED_PRECONDITION, text)


def closed_for_s(reply: Message) -> float | None:
    """Return after how many seconds, a day at most, the node may train; None if it may."""
    match = _CLOSED.fullmatch((reply.error.reason or "") if reply.has_error() else "")
    return None if match is None else min(float(match[1]), 86_400.0)


def records_to_bytes(content: RecordDict) -> bytes:
    """Return the content of a message as Flower's protocol buffer."""
    data: bytes = recorddict_to_proto(content).SerializeToString(deterministic=True)
    return data


def records_from_bytes(data: bytes) -> RecordDict:
    """Return the content of a message that `records_to_bytes` has written."""
    return recorddict_from_proto(RecordDictProto.FromString(data))


def count_bytes(content: RecordDict) -> int:
    """Bytes of a message's payload: array data, and keys and values of the other records.

    Our own bookkeeping keys of the simulation are not counted.
    """
    total = 0
    for record in content.values():
        if isinstance(record, ArrayRecord):
            total += sum(len(array.data) for array in record.values())
        else:
            for key, value in record.items():
                if key != SIMULATED_DEVICE:
                    total += len(key.encode()) + _value_bytes(value)
    return total


def _value_bytes(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_value_bytes, value))
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if isinstance(value, bytes) else 8


def is_train(message: Message) -> bool:
    """Return whether a message asks for training (any action of type `train`)."""
    return message.metadata.message_type.split(".")[0] == "train"
