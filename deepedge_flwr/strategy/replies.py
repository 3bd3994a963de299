"""From a reply to an update the model may trust, or to the reason why not."""

import re

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict

from ..core.types import Dispatch, Telemetry, Update, Vector
from ..layout import ModelLayout
from ..records import get_telemetry, records_of


class BadReply(Exception):
    """A reply that must not touch the model; the text says why, in one line."""


def read_update(
    reply: Message, dispatch: Dispatch, base: Vector, layout: ModelLayout, weighted_by_key: str
) -> tuple[Update, Telemetry | None]:
    """Check a reply and return its update and its telemetry.

    Parameters
    ----------
    reply : Message
        What came back.
    dispatch : Dispatch
        What it answers.
    base : Vector
        The model that was sent.
    layout : ModelLayout
        What the returned model must look like.
    weighted_by_key : str
        The metric that holds the node's weight.

    Raises
    ------
    BadReply
        If it carries an error, no single ArrayRecord like the model, a value that is not finite,
        no positive weight in a single MetricRecord, or telemetry that breaks the plan.
    """
    if reply.has_error():
        raise BadReply(f"error {reply.error.code}: {_last_line(reply.error.reason)}")
    try:
        delta = layout.to_vector(_only_arrays(reply.content)) - base
        telemetry = get_telemetry(reply.content)
    except BadReply:
        raise
    except Exception as error:  # bytes from another machine: anything may be wrong with them
        raise BadReply(f"malformed reply: {error}") from error
    if not np.all(np.isfinite(delta)):
        raise BadReply("the returned model has values that are not finite")
    num_steps = None if telemetry is None else telemetry.num_steps
    if num_steps is not None and dispatch.plan is not None and num_steps > dispatch.plan.num_steps:
        raise BadReply(f"{num_steps} local steps reported, {dispatch.plan.num_steps} were planned")
    update = Update(
        node_id=dispatch.node_id,
        base_version=dispatch.model_version,
        base=base,
        delta=delta,
        num_examples=_weight(reply.content, weighted_by_key),
        num_steps=num_steps,
    )
    return update, telemetry


def _only_arrays(content: RecordDict) -> ArrayRecord:
    records = records_of(content, ArrayRecord)
    if len(records) != 1:
        raise BadReply(f"the reply has {len(records)} ArrayRecords, it must have exactly one")
    return records[0]


def _weight(content: RecordDict, key: str) -> float:
    metrics = records_of(content, MetricRecord)
    if len(metrics) > 1:  # Flower adds up their values, and its own strategies end the run
        raise BadReply(f"the reply has {len(metrics)} MetricRecords, it must have at most one")
    value = next((record[key] for record in metrics if key in record), None)
    if value is None:
        raise BadReply(f"the reply's metrics lack {key!r}, the weight of the node's update")
    if not isinstance(value, int | float) or not 0 < value < np.inf:
        raise BadReply(f"metric {key!r} must be a finite number > 0, got {value!r}")
    return float(value)


def _last_line(reason: str | None) -> str:
    """Reduce a traceback, possibly coloured by Ray, to its last line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", reason or "no reason given").strip()
    return text.splitlines()[-1].strip() if text else "no reason given"
