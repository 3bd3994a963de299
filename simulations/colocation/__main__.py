"""`python -m simulations.colocation`: a service and a training on this machine, side by side."""

import argparse
import logging
import signal
import sys
from dataclasses import asdict
from statistics import median

from rich.console import Console
from rich.table import Table

from ..experiment import log_level
from .calibration import calibrated
from .measured import Measured, measure_scenario
from .scenarios import SCENARIOS

_COLUMNS = ("condition", "missed", "p99 ms", "run queue ms/s", "wake-up p99 ms", "training",
            "without services", "services' pace")  # fmt: skip


def main() -> int:
    """Measure one scenario and print it, with the simulated service that is like it.

    Returns 0, and 130 if it is interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m simulations.colocation", description=__doc__)
    parser.add_argument("--scenario", type=int, default=1, choices=range(1, len(SCENARIOS) + 1),
                        metavar="N", help=f"1 to {len(SCENARIOS)}, see --list")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    parser.add_argument("--rounds", type=int, default=3, help="blocks per condition (default 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a block (default 4)")
    arguments = parser.parse_args()
    if arguments.list:
        for number, scenario in enumerate(SCENARIOS, 1):
            print(f"{number:3}  {scenario.name}")
        return 0
    if arguments.rounds < 1 or not arguments.seconds > 0:
        parser.error("--rounds must be >= 1 and --seconds > 0")
    # Being ended by another program is like Ctrl-C: the processes of the measurement end, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with log_level(logging.CRITICAL):
            found = measure_scenario(
                SCENARIOS[arguments.scenario - 1], arguments.rounds, arguments.seconds
            )
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    _print(found)
    return 0


def _print(found: Measured) -> None:
    Console().print(_table(found))
    print(
        f"training that is stopped for {found.service_share:.0%} of every period, without the "
        f"service: {found.rationed_pace:.2f}x"
    )
    off, beside = found.blocks["off"], found.blocks["uncontrolled"]
    paused = found.blocks.get("gate alone", ())
    service = calibrated(found.scenario.loads[0], found.budget_s, off, beside, paused)
    pace = median(block.steps_per_s for block in beside) / found.alone["uncontrolled"]
    print(f"training beside it, uncontrolled: {pace:.2f} of its pace on the idle machine")
    print("the simulated service that is like it:")
    for name, value in asdict(service).items():
        print(f"  {name}: {value:.4g}")


def _table(found: Measured) -> Table:
    title = f"{found.scenario.name}; budget {1000 * found.budget_s:.2f} ms"
    table = Table(*_COLUMNS, title=title)
    for name, blocks in found.blocks.items():
        figures = (
            f"{100 * found.missed(name):.2f} %",
            f"{1000 * median(block.quantile_s(0.99) for block in blocks):.2f}",
            f"{1000 * median(block.queued_share for block in blocks):.1f}",
            f"{1000 * median(block.wake_s(0.99) for block in blocks):.2f}",
            "" if name == "off" else f"{median(found.paces(name)):.2f}x",
            "" if name == "off" else f"{found.undisturbed_pace(name):.2f}x",
            "" if name == "off" else f"{found.service_pace(name):.2f}x",
        )
        table.add_row(name, *figures)
    return table


if __name__ == "__main__":
    sys.exit(main())
