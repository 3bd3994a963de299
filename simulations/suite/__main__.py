"""`python -m simulations.suite`: run a suite, go on with it after an interruption, report it."""

import signal
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from ..configuration import CONF_DIR
from .index import write_index
from .report import report
from .run import Status, SuiteRun, run_suite
from .settings import compose_suite, num_processes, read_reuse, read_suite

_HELP = """python -m simulations.suite compares strategies over tasks x fleets x seeds.

Suites (choose with suite=NAME):
{suites}

Examples:
  python -m simulations.suite suite=quick
  python -m simulations.suite suite=tuned suite.seeds=[1,2] suite.fleets=[x16,tail]
  python -m simulations.suite "+arms.mine=['strategy=fedbuff','strategy.local_steps=3']" \\
      "suite.arms=[deepedge,mine,oracle]"

An interrupted suite goes on where it was when the same command is given again. Runs lie in
runs/suite/runs, the report in runs/suite/NAME; a suite of another name shares the runs.

Configuration (override anything):

{config}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a suite; return 0, 1 if a run failed or an argument is wrong, 130 if interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # Being ended by another program is like Ctrl-C: the processes of the runs end, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if {"-h", "--help"} & set(argv):
        print(_help())
        return 0
    try:
        done, _ = run_and_report(argv)
    except (ValueError, OSError, BrokenProcessPool) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 130
    return 0 if done.complete else 1


def run_and_report(argv: Sequence[str]) -> tuple[SuiteRun, Path]:
    """Run the suite of a command line with a progress bar; return it and its report's folder.

    Raises
    ------
    ValueError
        If an argument is wrong; nothing has been started then.
    """
    config = compose_suite(argv)
    suite, processes, folder = read_suite(config), num_processes(config), Path(config["folder"])
    with _ProgressLine(suite.name, processes) as line:
        done = run_suite(
            suite,
            folder / "runs",
            num_processes=processes,
            reuse=read_reuse(config),
            on_status=line.show,
        )
    _print_failures(done)
    write_index(done, folder / suite.name)
    report(folder / suite.name)
    return done, folder / suite.name


class _ProgressLine:
    """One bar over all stages, as long as the cores' work."""

    def __init__(self, name: str, processes: int) -> None:
        text = TextColumn("{task.description} {task.fields[runs]}  {task.fields[left]}")
        self._bar, self._processes = Bar(text, BarColumn()), processes
        self._line = self._bar.add_task(name, runs="", left="", total=1)
        self._name = name

    def __enter__(self) -> "_ProgressLine":
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def show(self, status: Status) -> None:
        left_s = None if status.left_s is None else status.left_s / self._processes
        self._bar.update(
            self._line,
            description=f"{self._name}: {status.stage}",
            runs=f"{status.num_done}/{status.num_runs} runs",
            left=_left(left_s),
            completed=status.done_s,
            total=status.done_s + (status.left_s or 0.0) or 1,
        )


def _left(left_s: float | None) -> str:
    if left_s is None:
        return ""
    minutes = round(left_s / 60)
    return f"{minutes // 60} h {minutes % 60:02} min left" if minutes else "a moment left"


def _print_failures(done: SuiteRun) -> None:
    for failure in done.failures:
        print(f"failed: {failure.command}\n  {failure.error}", file=sys.stderr)
    if done.skipped:
        print(
            f"{len(done.skipped)} runs were left out: the runs that give their target or their "
            "configuration failed",
            file=sys.stderr,
        )


def _help() -> str:
    names = sorted(path.stem for path in (CONF_DIR / "suite").glob("*.yaml"))
    lines = []
    for name in names:
        text = (CONF_DIR / "suite" / f"{name}.yaml").read_text(encoding="utf-8")
        lines.append(f"  {name:<12}{text.splitlines()[0].lstrip('# ')}")
    config = (CONF_DIR / "suite.yaml").read_text(encoding="utf-8")
    chosen = (CONF_DIR / "suite" / "untuned.yaml").read_text(encoding="utf-8")
    return _HELP.format(suites="\n".join(lines), config=f"{config}\nsuite:\n{chosen}")


if __name__ == "__main__":
    sys.exit(main())
