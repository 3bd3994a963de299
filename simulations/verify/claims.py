"""A measured figure beside the bound it was promised to keep."""

import json
import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

Kind = Literal["at most", "at least", "equal"]
_COMPARE = {"at most": operator.le, "at least": operator.ge, "equal": operator.eq}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One row of a verification.

    Attributes
    ----------
    name : str
        What is claimed.
    measured, bound : float | str
        What was measured, and what it is held against.
    unit : str
        Unit of both.
    kind : Kind
        How they compare.
    how : str
        How the figure was measured.
    """

    name: str
    measured: float | str
    bound: float | str
    unit: str
    kind: Kind
    how: str

    @property
    def met(self) -> bool:
        """Whether the bound is kept."""
        return bool(_COMPARE[self.kind](self.measured, self.bound))


def write_claims(claims: Sequence[Claim], path: Path) -> None:
    """Write the claims as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(claim), "met": claim.met} for claim in claims]
    path.write_text(json.dumps(rows, indent=2) + "\n")


def read_claims(path: Path) -> list[Claim]:
    """Read what `write_claims` has written."""
    rows = json.loads(path.read_text())
    return [Claim(**{key: row[key] for key in row if key != "met"}) for row in rows]


def updated(claims: Sequence[Claim], again: Sequence[Claim]) -> list[Claim]:
    """Return the claims, in their order, with those of the same name that were measured again."""
    newest = {claim.name: claim for claim in [*claims, *again]}
    return list(newest.values())


def print_claims(claims: Sequence[Claim]) -> None:
    """Print the claims as a table."""
    table = Table("claim", "measured", "bound", "met", show_lines=True)
    for claim in claims:
        bound = f"{claim.kind} {_text(claim.bound)} {claim.unit}"
        measured = f"{_text(claim.measured)} {claim.unit}"
        table.add_row(claim.name, measured, bound, "yes" if claim.met else "[bold]NO[/bold]")
    Console().print(table)


def _text(value: float | str) -> str:
    return value[:12] if isinstance(value, str) else f"{value:.3g}"
