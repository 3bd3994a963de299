"""Where a run lies: a folder named by what was run, so that nothing is run twice."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig, OmegaConf

from ..configuration import CONF_DIR
from ..report.load import ReportError, read_summary
from ..summary import Summary
from ..sweep import Cost, Outcome
from .plan import PlannedRun

#: Whether a run made by other source code counts: no, or yes.
Reuse = Literal["source", "config"]
# What is done with finished runs does not change them.
_NOT_IN_A_RUN = ("report", "suite", "verify")
_DIGITS = 12


def run_folder(run: PlannedRun, config: DictConfig, source: str) -> str:
    """Return `TASK_FLEET_ARM_seedN-CONFIG-SOURCE`.

    Parameters
    ----------
    run : PlannedRun
        What is run, for people.
    config : DictConfig
        Its complete configuration; its resolved values are hashed.
    source : str
        Hash of the source code.
    """
    values = OmegaConf.to_container(config, resolve=True)
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    stem = f"{run.task}_{run.fleet}_{run.arm}_seed{run.seed}"
    return f"{stem}-{digest[:_DIGITS]}-{source}"


@cache
def source_hash(root: Path = CONF_DIR.parent) -> str:
    """Return a hash of all source code that a run executes: the package's and simulations'."""
    digest = hashlib.sha256()
    for package in ("deepedge_flwr", "simulations"):
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root)
            if package == "deepedge_flwr" or name.parts[1] not in _NOT_IN_A_RUN:
                digest.update(f"{name.as_posix()}\0{len(source := path.read_bytes())}\0".encode())
                digest.update(source)
    return digest.hexdigest()[:_DIGITS]


def finished(folder: Path, reuse: Reuse = "source") -> Outcome | None:
    """Return the outcome of a run that is complete; None if it must be (re)done.

    Parameters
    ----------
    folder : Path
        Its folder, made by `run_folder`.
    reuse : Reuse (default: "source")
        "config" also finds a run of the same configuration that other source code has made.
    """
    candidates = [folder]
    if reuse == "config":
        stem = folder.name.rpartition("-")[0]
        candidates += sorted(folder.parent.glob(f"{stem}-*"))
    return next(filter(None, map(_outcome, candidates)), None)


def _outcome(folder: Path) -> Outcome | None:
    """Read what a run writes last: its summary, then its cost."""
    try:
        summary: Summary = read_summary(folder / "summary.json")
        cost = Cost(**json.loads((folder / "cost.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, ReportError):
        return None
    return Outcome(folder=folder, summary=summary, cost=cost)
