"""`python -m simulations.deployment`: the whole of a deployment on this machine, and its end."""

import argparse
import signal
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console

from deepedge_flwr.core.clock import WallClock

from .certificates import make_certificates
from .fleet import LocalDeployment, NodeSetup
from .metrics import read_rows
from .processes import DeploymentError


def main() -> int:
    """Start a SuperLink and SuperNodes, train digits, show how it goes, and stop everything."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.deployment", description=main.__doc__
    )
    parser.add_argument("--nodes", type=int, default=3, help="SuperNodes (default: 3)")
    parser.add_argument("--versions", type=int, default=20, help="model versions (default: 20)")
    parser.add_argument("--port", type=int, help="of the SuperLink (default: a free one)")
    parser.add_argument("--tls", action="store_true", help="certificates, and keys for the nodes")
    parser.add_argument("--folder", type=Path, help="keep logs, metrics and checkpoints here")
    arguments = parser.parse_args()
    if arguments.nodes < 2 or arguments.versions < 1:
        parser.error("need --nodes of at least 2 and --versions of at least 1")
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            return _try(arguments, arguments.folder or Path(temporary))
        except (DeploymentError, ValueError, OSError) as error:
            parser.exit(1, f"error: {error}\n")
        except KeyboardInterrupt:
            parser.exit(130, "stopped\n")


def _end(number: int, _frame: FrameType | None) -> None:
    """End as if nothing more were to do: what was started is stopped on the way out."""
    raise SystemExit(128 + number)


def _try(arguments: argparse.Namespace, folder: Path) -> int:
    console, count = Console(), arguments.nodes
    folder.mkdir(parents=True, exist_ok=True)
    certificates = None
    if arguments.tls:
        certificates = make_certificates(folder / "certificates", num_nodes=count)
    configs = [
        {"partition-id": i, "num-partitions": count, "device-id": f"device-{i}"}
        for i in range(count)
    ]
    setups = [NodeSetup(config=config) for config in configs]
    console.print(f"Starting a SuperLink and {count} SuperNodes; logs are in {folder}")
    with LocalDeployment(folder, setups, certificates=certificates, port=arguments.port) as running:
        metrics = folder / "metrics.jsonl"
        run = running.run(
            {"num-server-rounds": arguments.versions, "min-nodes": count, "outstanding": 2,
             "metrics-file": str(metrics), "checkpoint-dir": str(folder / "state")}
        )  # fmt: skip
        status = _follow(running, run, metrics, console)
    console.print(f"Run {run}: {status}")
    return 0 if status == "finished:completed" else 1


def _follow(running: LocalDeployment, run: int, metrics: Path, console: Console) -> str:
    """Print every evaluation until the run has ended; return how."""
    clock, shown = WallClock(), 0
    asked_at_s, status = clock.now_s(), "running"
    while not status.startswith("finished"):
        clock.sleep(0.5)
        if clock.now_s() > asked_at_s + 5.0:
            asked_at_s, status = clock.now_s(), running.status(run)
        rows = read_rows(metrics)
        for row in rows[shown:]:
            if row["kind"] == "evaluation":
                console.print(f"version {row['version']}: accuracy {row['accuracy']:.3f}")
            elif row["kind"] == "event":
                console.print(f"node {row['node']}: {row['event']}")
        shown = len(rows)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
