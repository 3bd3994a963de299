"""`python -m simulations.verify TOPIC [--quick]`."""

import argparse
import signal
import sys
from pathlib import Path

from . import demo, deployment, faults, gate, suite
from .claims import print_claims, write_claims

TOPICS = {
    "demo": demo.measure,
    "deployment": deployment.measure,
    "faults": faults.measure,
    "gate": gate.measure,
    "suite": suite.measure,
}


def main() -> int:
    """Measure a topic; return 0, 1 if a bound is not met, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m simulations.verify", description=__doc__)
    parser.add_argument("topic", choices=sorted(TOPICS))
    parser.add_argument("--quick", action="store_true", help="fewer seeds, a few minutes")
    parser.add_argument("--out", type=Path, default=Path("verify"), help="folder to write")
    arguments = parser.parse_args()
    # Being ended by another program is like Ctrl-C: the processes that measure end, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        claims = TOPICS[arguments.topic](arguments.quick)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    write_claims(claims, arguments.out / f"{arguments.topic}.json")
    print_claims(claims)
    return 0 if all(claim.met for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
