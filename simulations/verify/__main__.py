"""`python -m simulations.verify TOPIC`: measure what is claimed, and hold it against its bound."""

import argparse
import signal
import sys
from pathlib import Path

from ..colocation.scenarios import SCENARIOS
from . import demo, deployment, faults, gate, suite
from .claims import print_claims, read_claims, updated, write_claims

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
    parser.add_argument("--scenarios", type=int, nargs="+", metavar="N", default=(),
                        choices=range(1, len(SCENARIOS) + 1),
                        help="of gate: measure these again, and keep the file's other claims "
                        "(their numbers: python -m simulations.colocation --list)")  # fmt: skip
    arguments = parser.parse_args()
    path = arguments.out / f"{arguments.topic}.json"
    if arguments.scenarios and (arguments.topic != "gate" or not path.exists()):
        parser.error(f"--scenarios is for gate, and for a file that is there: {path}")
    # Being ended by another program is like Ctrl-C: the processes that measure end, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if arguments.scenarios:
            again = gate.measure_scenarios([SCENARIOS[n - 1] for n in arguments.scenarios])
            claims = updated(read_claims(path), again)
        else:
            claims = TOPICS[arguments.topic](arguments.quick)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    write_claims(claims, path)
    print_claims(claims)
    return 0 if all(claim.met for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
