"""`python -m simulations.run`: simulate one federated run, or a sweep with -m."""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TextColumn, TimeRemainingColumn

from .configuration import CONF_DIR, check_config
from .experiment import Progress, run_experiment
from .overrides import check_overrides
from .summary import Summary

_LINE = (
    "{task.description}  {task.fields[time_s]:6.1f}/{task.total:.0f} s  "
    "version {task.fields[version]}  accuracy {task.fields[accuracy]:.3f}  "
    "violations {task.fields[num_violations]}"
)


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def simulate(config: DictConfig) -> None:
    """Run one configuration with a live progress line."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    console = Console()
    columns = (TextColumn(_LINE), TimeRemainingColumn())
    try:
        check_config(config)
        with Bar(*columns, console=console) as bar:
            line = bar.add_task(config.strategy.name,
                                total=config.horizon_s, time_s=0.0, version=0, accuracy=0.0,
                                num_violations=0, visible=False)  # fmt: skip

            def show(progress: Progress) -> None:
                bar.update(
                    line,
                    visible=True,
                    completed=progress.time_s,
                    time_s=progress.time_s,
                    version=progress.version,
                    accuracy=progress.accuracy,
                    num_violations=progress.num_violations,
                )

            summary = run_experiment(config, folder, show)
            bar.update(line, completed=config.horizon_s, time_s=config.horizon_s)
    except (ValueError, FileNotFoundError, OmegaConfBaseException) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        # The server thread of Flower's engine cannot be interrupted, and would be waited for.
        os._exit(130)
    _print(summary, folder)


def _print(summary: Summary, folder: Path) -> None:
    reached = summary.time_to_target_s
    when = "not reached" if reached is None else f"after {reached:.1f} s"
    print(
        f"accuracy {summary.final_accuracy:.3f}; target {summary.target_accuracy} {when}; "
        f"{(summary.bytes_up + summary.bytes_down) / 1e6:.1f} MB; "
        f"violations {100 * summary.violation_rate:.2f} %\n{os.path.relpath(folder)}"
    )


def main() -> None:
    """Check the command line, then hand over to hydra."""
    try:
        check_overrides(sys.argv[1:], CONF_DIR)
    except ValueError as error:
        sys.exit(f"error: {error}")
    simulate()


if __name__ == "__main__":
    main()
