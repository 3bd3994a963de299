"""The claims about real deployments: Flower's own processes on this machine, over loopback."""

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import psutil

from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.core.clock import WallClock

from ..deployment.certificates import make_certificates
from ..deployment.fleet import LocalDeployment, NodeSetup
from ..deployment.forecast import Device, Forecast, forecast
from ..deployment.metrics import read_rows, updates_per_minute, wait_for_version
from ..experiment import log_level
from .claims import Claim

#: How many times a node computes each of its steps: the fleet's true speeds.
WORK = (200, 400, 800, 1600)
TARGET = 0.9
#: Flower gives a dead node up after 37.5 to 60 s (its heartbeat), a dead ServerApp after 60 s.
DOCUMENTED_S = 70.0
_PATIENCE_S = 400.0
_ARMS: dict[str, dict[str, str | int]] = {
    "fedavg": {"strategy": "fedavg", "num_server_rounds": 6},
    "deepedge": {"num_server_rounds": 14, "max_steps": 1, "outstanding": 2},
}


@dataclass(frozen=True, slots=True)
class _Trial:
    """A deployment and where its runs write to."""

    deployment: LocalDeployment
    folder: Path

    def metrics(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def begin(self, name: str, **config: str | int | float | bool) -> int:
        """Begin a run that writes its metrics and checkpoints under a name."""
        settings: dict[str, str | int | float] = {
            "min-nodes": len(WORK),
            "metrics-file": str(self.metrics(name)),
            "checkpoint-dir": str(self.folder / name),
        }
        settings.update({key.replace("_", "-"): value for key, value in config.items()})
        return self.deployment.run(settings)

    def complete(self, name: str, **config: str | int | float | bool) -> list[dict[str, Any]]:
        """Run to the end, and return the rows of its metrics."""
        status = self.deployment.wait(self.begin(name, **config), _PATIENCE_S)
        if status != "finished:completed":
            raise RuntimeError(f"run {name!r} ended as {status}")
        return read_rows(self.metrics(name))


def measure(quick: bool) -> list[Claim]:
    """Measure all claims; `quick` is the trial with TLS alone."""
    with log_level(logging.CRITICAL), tempfile.TemporaryDirectory() as path:
        claims = list(_secured(Path(path) / "secured"))
        if quick:
            return claims
        folder = Path(path) / "plain"
        setups = [NodeSetup(config=_node_config(i, work)) for i, work in enumerate(WORK)]
        with LocalDeployment(folder, setups) as deployment:
            trial = _Trial(deployment, folder)
            return [*claims, *_predicted(trial), *_compared(trial), *_killed(trial)]


def _node_config(index: int, work: int) -> dict[str, str | int]:
    return {"partition-id": index, "num-partitions": len(WORK), "device-id": f"device-{index}",
            "work-factor": work}  # fmt: skip


def _secured(folder: Path) -> Iterator[Claim]:
    """Train with TLS and node authentication; one more node has no key."""
    certificates = make_certificates(folder / "certificates", num_nodes=3)
    setups = [NodeSetup(config={"partition-id": i, "num-partitions": 2}) for i in (0, 1, 1)]
    with LocalDeployment(folder, setups, certificates=certificates) as deployment:
        deployment.kill_node(2)
        deployment.start_node(2, authenticated=False)
        run = deployment.run({"min-nodes": 2, "num-server-rounds": 5, "outstanding": 2,
                              "metrics-file": str(folder / "metrics.jsonl")})  # fmt: skip
        deployment.wait(run, _PATIENCE_S)
        refused = "All SuperNodes must be registered" in deployment.log("node-2")
    rows = read_rows(folder / "metrics.jsonl")
    yield Claim(
        name="versions trained with TLS and authenticated nodes",
        measured=max((row["version"] for row in rows if row["kind"] == "version"), default=0),
        bound=5, unit="versions", kind="equal", how="two SuperNodes, one SuperLink",
    )  # fmt: skip
    yield Claim(
        name="a SuperNode without a registered key",
        measured="refused" if refused else "accepted",
        bound="refused", unit="", kind="equal", how="its log, and Flower's error 2001",
    )  # fmt: skip


def _predicted(trial: _Trial) -> Iterator[Claim]:
    """Learn the fleet in one run, simulate it, and compare with another run."""
    trial.complete("calibration", num_server_rounds=16)
    devices = _devices(trial.folder / "calibration")
    paces = [device.step_time_s / work for device, work in zip(devices, WORK, strict=True)]
    middle = median(paces)
    yield Claim(
        name="learned step times relative to the work that was set, furthest from their median",
        measured=max(abs(pace / middle - 1) for pace in paces),
        bound=0.25, unit="", kind="at most",
        how="; ".join(f"{d.name}: {d.step_time_s * 1e3:.1f} ms for {w} times the work, "
                      f"overhead {d.overhead_s:.1f} s" for d, w in zip(devices, WORK, strict=True)),
    )  # fmt: skip
    rows = trial.complete("reality", num_server_rounds=30)
    expected, real = forecast(devices, 30), _observed(rows)
    yield Claim(
        name="seconds per version in virtual time relative to real ones, minus one",
        measured=abs(expected.version_s / real.version_s - 1),
        bound=0.25, unit="", kind="at most",
        how=f"{expected.version_s:.2f} s expected, {real.version_s:.2f} s measured, 30 versions",
    )  # fmt: skip
    yield Claim(
        name="number of updates of a device, expected relative to real, minus one, the furthest",
        measured=max(abs(expected.arrivals[d.name] / max(1, real.arrivals[d.name]) - 1)
                     for d in devices),
        bound=0.25, unit="", kind="at most",
        how="counts, not the order of arrival; "
        + "; ".join(f"{d.name}: {expected.arrivals[d.name]} expected, "
                    f"{real.arrivals[d.name]} measured" for d in devices),
    )  # fmt: skip


def _devices(state: Path) -> list[Device]:
    """Return what the strategy has learned about each device, from its last checkpoint."""
    found = CheckpointFolder(state).read()
    assert found is not None
    run = found["run"]
    node_of: Mapping[str, int] = run["_exchange"]["_node_of"]
    profiles = run["_fleet"]["_profiles"]
    return [
        Device(name, profiles[node].step_time_s, profiles[node].overhead_s)
        for name, node in sorted(node_of.items())
    ]


def _observed(rows: Sequence[Mapping[str, Any]]) -> Forecast:
    times_s = [row["time_s"] for row in rows if row["kind"] == "version"]
    arrivals = Counter(row["device"] for row in rows if row["kind"] == "update")
    return Forecast(version_s=(times_s[-1] - times_s[0]) / (len(times_s) - 1), arrivals=arrivals)


def _compared(trial: _Trial) -> Iterator[Claim]:
    """Count updates per minute of DeepEdge and of stock FedAvg, one local step each."""
    rates, busy = dict[str, list[float]](), dict[str, list[float]]()
    for turn in range(2):
        for name, config in _ARMS.items():
            psutil.cpu_percent()
            rows = trial.complete(f"{name}-{turn}", **config, local_steps=1)
            per_round = len(WORK) if name == "fedavg" else 2
            rates.setdefault(name, []).append(updates_per_minute(rows, per_round))
            busy.setdefault(name, []).append(psutil.cpu_percent())
    fast, slow = fmean(rates["deepedge"]), fmean(rates["fedavg"])
    yield Claim(
        name="updates per minute of DeepEdge relative to FedAvg's",
        measured=fast / slow, bound=2.0, unit="x", kind="at least",
        how=f"{fast:.0f} and {slow:.0f} per minute, two turns each on the same four SuperNodes, "
        "one local step each, outstanding=2; the machine was "
        f"{fmean(busy['deepedge']):.0f} % and "
        f"{fmean(busy['fedavg']):.0f} % busy",
    )  # fmt: skip


def _killed(trial: _Trial) -> Iterator[Claim]:
    """Kill a node and the ServerApp on the way to the target."""
    path, deployment, clock = trial.metrics("killed"), trial.deployment, WallClock()
    rounds = {"num_server_rounds": 90, "outstanding": 2}
    trial.begin("killed", **rounds)
    wait_for_version(path, 15, _PATIENCE_S)
    deployment.kill_node(3)
    wait_for_version(path, 25, _PATIENCE_S)
    deployment.start_node(3)
    wait_for_version(path, 35, _PATIENCE_S)
    app = deployment.server_app()
    assert app is not None
    app.kill()
    clock.sleep(2.0)
    before = read_rows(path)
    last = max(row["version"] for row in before if row["kind"] == "version")
    rows = trial.complete("killed", **rounds)
    versions = [row["version"] for row in rows[len(before) :] if row["kind"] == "version"]
    accuracies = [row["accuracy"] for row in rows if row["kind"] == "evaluation"]
    times_s = [row["time_s"] for row in before if row["kind"] == "update"]
    yield Claim(
        name="accuracy after a node and the ServerApp were killed with SIGKILL",
        measured=max(accuracies[-10:]), bound=TARGET, unit="", kind="at least",
        how="digits, 90 versions; node 3 killed at version 15 and back at 25, the ServerApp at 35",
    )  # fmt: skip
    yield Claim(
        name="versions that had to be made again after the ServerApp was killed",
        measured=last + 1 - versions[0], bound=2, unit="versions", kind="at most",
        how=f"version {last} was published, {versions[0]} was the next after the restart",
    )  # fmt: skip
    yield Claim(
        name="longest time without an accepted update while a node was killed",
        measured=max(later - earlier for earlier, later in pairwise(times_s)),
        bound=DOCUMENTED_S, unit="s", kind="at most", how=f"{len(times_s)} updates",
    )  # fmt: skip
