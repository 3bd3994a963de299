"""The figures of one run, read off its ledger."""

from collections.abc import Collection
from dataclasses import dataclass

from flwr.app import ArrayRecord
from omegaconf import DictConfig

from deepedge_flwr.layout import model_sha256
from deepedge_flwr.simulation import RunLedger

from .evaluator import smoothed, time_to_target_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one run, as in `summary.json`; times in virtual seconds, bytes both ways."""

    strategy: str
    label: str
    task: str
    fleet: str
    service: str
    engine: str
    seed: int
    num_nodes: int
    horizon_s: float
    latency_budget_s: float | None
    target_accuracy: float
    time_to_target_s: float | None
    bytes_to_target: int | None
    final_accuracy: float
    best_accuracy: float
    num_versions: int
    num_updates: int
    bytes_up: int
    bytes_down: int
    bytes_wasted: int
    num_requests: int
    num_violations: int
    violation_rate: float
    mean_staleness: float
    utilisation: float
    model_sha256: str
    event_log_sha256: str


def summarise(
    config: DictConfig,
    ledger: RunLedger,
    target_accuracy: float,
    num_versions: int,
    model: ArrayRecord,
    device_time_s: float,
    discarded: Collection[str] = (),
) -> Summary:
    """Return the figures of a finished run.

    Parameters
    ----------
    config : DictConfig
        Its configuration.
    ledger : RunLedger
        What happened.
    target_accuracy : float
        The accuracy that counts as learned.
    num_versions : int
        Model versions published.
    model : ArrayRecord
        The last of them.
    device_time_s : float
        Virtual seconds that all devices together could have trained, to the end of the run.
    discarded : Collection[str] (default: ())
        Ids of the messages whose reply entered no model.
    """
    evaluations = ledger.of("evaluate")
    means = smoothed([row.value or 0.0 for row in evaluations])
    reached_s = time_to_target_s(
        [row.time_s for row in evaluations],
        [row.value or 0.0 for row in evaluations],
        target_accuracy,
    )
    num_requests = int(ledger.total("num_requests"))
    num_violations = int(ledger.total("num_violations"))
    service = config.service.build
    return Summary(
        strategy=config.strategy.name,
        label=config.strategy.label,
        task=task_name(config),
        fleet=config.fleet.name,
        service=config.service.name,
        engine=config.engine.name,
        seed=config.seed,
        num_nodes=config.num_nodes,
        horizon_s=config.horizon_s,
        latency_budget_s=None if service is None else service.budget_s,
        target_accuracy=target_accuracy,
        time_to_target_s=reached_s,
        bytes_to_target=None if reached_s is None else ledger.bytes_until(reached_s),
        final_accuracy=means[-1],
        best_accuracy=max(means),
        num_versions=num_versions,
        num_updates=ledger.count("reply") - len(discarded),
        bytes_up=int(ledger.total("bytes_up")),
        bytes_down=int(ledger.total("bytes_down")),
        bytes_wasted=ledger.wasted_bytes(discarded),
        num_requests=num_requests,
        num_violations=num_violations,
        violation_rate=num_violations / num_requests if num_requests else 0.0,
        mean_staleness=ledger.mean_staleness(),
        # Durations that fill the run add up to it but for their rounding.
        utilisation=min(1.0, ledger.total("value", "compute") / device_time_s),
        model_sha256=model_sha256(model),
        event_log_sha256=ledger.sha256(),
    )


def task_name(config: DictConfig) -> str:
    """Name a task with its partition, as the report shows it."""
    task = config.task
    skew = f"{task.alpha}, {task.beta}" if "beta" in task else f"{task.alpha}"
    kind = "" if task.partition == "own" else f" {task.partition.replace('_', '-')}"
    return f"{task.name}{kind} {skew}"
