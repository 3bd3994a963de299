"""`python -m simulations.demo`: DeepEdge, FedBuff and FedAvg on 30 unequal, busy devices."""

import argparse
import shutil
import sys
from pathlib import Path

from .report.__main__ import main as report
from .sweep import by_seed, run_sweep

ARMS = {
    "deepedge": ("strategy=deepedge",),
    "fedbuff": ("strategy=fedbuff",),
    "fedavg": ("strategy=fedavg",),
}
COMMON = ("task=digits", "fleet=x16", "service=control_loop", "horizon_s=300")


def main() -> int:
    """Run the demo and write its report."""
    parser = argparse.ArgumentParser(prog="python -m simulations.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder to write")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds must be >= 1, got {arguments.seeds}")
    print(
        "30 devices, 16x between the fastest and the slowest, a 10 Hz control loop with a 20 ms "
        "budget on each; digits, label skew Dirichlet(0.5); virtual time."
    )
    for name in (*ARMS, "report"):
        shutil.rmtree(arguments.out / name, ignore_errors=True)
    try:
        run_sweep(by_seed(ARMS, range(arguments.seeds), arguments.out, COMMON), "simulating")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return report([str(arguments.out)])


if __name__ == "__main__":
    sys.exit(main())
