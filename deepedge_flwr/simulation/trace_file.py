"""Reading trace files: entries by name, every value checked, nothing in a file ever executed."""

import csv
import json
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np


@dataclass(frozen=True, slots=True)
class Entry:
    """One device of a trace file.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        The entry's key.
    fields : dict[str, Any]
        What it holds.
    """

    path: Path
    name: str
    fields: dict[str, Any]

    def number(self, field: str, zero: bool = False) -> float:
        """Return a finite number > 0, or >= 0 if `zero` is allowed; CSV cells are parsed."""
        value = self.fields.get(field)
        try:
            number = math.nan if isinstance(value, bool | None) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (0 < number < math.inf or (zero and number == 0)):
            self.refuse(field, f"must be a finite number {'>=' if zero else '>'} 0", value)
        return number

    def text(self, field: str) -> str:
        """Return a text."""
        value = self.fields.get(field)
        if not isinstance(value, str):
            self.refuse(field, "must be a text", value)
        return value

    def refuse(self, field: str, rule: str, value: Any) -> NoReturn:
        """Raise the ValueError that names file, entry, field, rule and value."""
        raise ValueError(f"{self.path}: entry {self.name!r}: {field} {rule}, got {value!r}")


def draw_entries(path: Path | str, num_nodes: int, seed: int) -> list[Entry]:
    """Read a file and draw entries from it, all of them before one comes again.

    Parameters
    ----------
    path : Path | str
        A JSON object (.json), a CSV table with a column `device` (.csv), or a pickled dict (any
        other name), of objects by name.
    num_nodes : int
        Number of entries.
    seed : int
        The choice is a function of it and of the names in the file, not of the format.

    Raises
    ------
    ValueError
        If the file is malformed.
    """
    path = Path(path)
    if num_nodes < 1:
        raise ValueError(f"num_nodes must be >= 1, got {num_nodes}")
    entries = _read(path)
    names = sorted(entries)
    random = np.random.default_rng((seed, 7))
    order: list[int] = []
    while len(order) < num_nodes:
        order.extend(random.permutation(len(names)).tolist())
    return [Entry(path, names[i], entries[names[i]]) for i in order[:num_nodes]]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    readers = {".json": _read_json, ".csv": _read_csv}
    try:
        content = readers.get(path.suffix.lower(), _read_pickle)(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a {path.suffix[1:]} file ({error})") from None
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path}: must hold at least one entry by name, got {content!r:.60}")
    for name, fields in content.items():
        if not isinstance(fields, dict):
            raise ValueError(f"{path}: entry {name!r}: must be an object, got {fields!r:.60}")
    return {str(name): fields for name, fields in content.items()}


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_csv(path: Path) -> Any:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if "device" not in (reader.fieldnames or ()):
            raise ValueError(f"{path}: must have a column 'device', got {reader.fieldnames}")
        return {row["device"]: row for row in reader}


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            return _PlainUnpickler(file).load()
        except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
            raise ValueError(f"{path}: not a pickle of plain values ({error})") from None


class _PlainUnpickler(pickle.Unpickler):
    """Reads dict, list, tuple, str, int, float and bool. A class or function would be code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse whatever a pickle names."""
        raise pickle.UnpicklingError(f"{module}.{name} is not one")
