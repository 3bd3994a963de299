"""Between our types and Flower's records: the only place that knows key strings.

Downwards the plan travels as prefixed keys in the message's single ConfigRecord (a second one
breaks Flower's differential-privacy mods); upwards the telemetry is a ConfigRecord of its own (a
second MetricRecord aborts stock FedAvg).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from .core.types import Telemetry, TrainPlan, Vector

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
}


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
    # Flower's `content.config_records` builds a new dictionary of checked entries at every use.
    for name, record in content.items():
        if isinstance(record, ConfigRecord) and name != TELEMETRY:
            return record
    return {}


def put_telemetry(content: RecordDict, telemetry: Telemetry) -> None:
    """Add a node's report to its reply."""
    values = {field.replace("_", "-"): value for field, value in asdict(telemetry).items()}
    content[TELEMETRY] = ConfigRecord(values)


def get_telemetry(content: RecordDict) -> Telemetry | None:
    """Return the report in a reply; None if it carries none.

    Raises
    ------
    ValueError
        If a field is missing, unknown, not a number, or negative.
    """
    record = content.get(TELEMETRY)
    if not isinstance(record, ConfigRecord):
        return None
    fields: dict[str, Any] = {key.replace("-", "_"): value for key, value in record.items()}
    device_id = fields.pop("device_id", "")
    for name, value in fields.items():
        if type(value) not in (int, float) or not 0 <= value < np.inf:
            raise ValueError(f"telemetry {name} must be a finite number >= 0, got {value!r}")
    try:
        return Telemetry(device_id=str(device_id), **fields)
    except TypeError as error:
        raise ValueError(f"telemetry has the wrong fields: {error}") from error


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """Names, shapes and dtypes of a model's arrays: how a vector becomes a model again.

    Attributes
    ----------
    arrays : tuple of (name, shape, dtype)
        In the order of the ArrayRecord they were read from.
    """

    arrays: tuple[tuple[str, tuple[int, ...], str], ...]

    @classmethod
    def of(cls, record: ArrayRecord) -> "ModelLayout":
        """Read the layout of a model."""
        return cls(tuple((name, tuple(a.shape), a.dtype) for name, a in record.items()))

    @property
    def num_parameters(self) -> int:
        """Length of the model's vector."""
        return sum(int(np.prod(shape)) for _, shape, _ in self.arrays)

    def to_vector(self, record: ArrayRecord) -> Vector:
        """Return a model as one float64 vector.

        Raises
        ------
        ValueError
            If a name, shape or dtype differs from this layout.
        """
        got = {name: (tuple(a.shape), a.dtype) for name, a in record.items()}
        wanted = {name: (shape, dtype) for name, shape, dtype in self.arrays}
        if got != wanted:
            names = sorted(n for n in got.keys() | wanted.keys() if got.get(n) != wanted.get(n))
            raise ValueError(
                f"arrays differ from the model's: {names[0]!r} is {got.get(names[0], 'missing')}, "
                f"must be {wanted.get(names[0], 'absent')}"
            )
        parts = [np.asarray(record[name].numpy(), np.float64).ravel() for name in wanted]
        return np.concatenate(parts) if parts else np.zeros(0)

    def to_record(self, vector: Vector) -> ArrayRecord:
        """Return the model that a vector stands for; integer arrays are rounded."""
        record, start = ArrayRecord(), 0
        for name, shape, dtype in self.arrays:
            stop = start + int(np.prod(shape))
            values = vector[start:stop].reshape(shape)
            if np.issubdtype(np.dtype(dtype), np.integer):
                values = np.rint(values)
            record[name] = Array(np.asarray(values.astype(dtype)))
            start = stop
        return record


def count_bytes(content: RecordDict) -> int:
    """Bytes of a message's payload: array data, and keys and values of the other records.

    Our own bookkeeping keys of the simulation are not counted.
    """
    total = 0
    for record in content.values():
        if isinstance(record, ArrayRecord):
            total += sum(len(array.data) for array in record.values())
        else:
            total += sum(_value_bytes(k, v) for k, v in record.items() if k != SIMULATED_DEVICE)
    return total


def _value_bytes(key: str, value: Any) -> int:
    values = value if isinstance(value, list) else [value]
    sizes = (len(v.encode()) if isinstance(v, str) else len(v) if isinstance(v, bytes) else 8
             for v in values)  # fmt: skip
    return len(key.encode()) + sum(sizes)


def model_sha256(record: ArrayRecord) -> str:
    """Fingerprint of a model: names, dtypes, shapes and bytes of its arrays, in name order."""
    digest = hashlib.sha256()
    for name in sorted(record):
        array = np.ascontiguousarray(record[name].numpy())
        digest.update(f"{name}|{array.dtype}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def is_train(message: Message) -> bool:
    """Return whether a message asks for training (any action of type `train`)."""
    return message.metadata.message_type.split(".")[0] == "train"
