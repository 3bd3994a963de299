"""Trace files: which entries are drawn, and what is wrong with a malformed one."""

import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepedge_flwr.simulation.trace_file import draw_entries

DATA = Path(__file__).parents[1] / "data/traces"
CAPACITY = json.loads((DATA / "fedscale.json").read_text())


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def names(path: Path, num_nodes: int, seed: int = 0) -> list[str]:
    return [entry.name for entry in draw_entries(path, num_nodes, seed)]


def test_every_entry_is_drawn_before_one_comes_again() -> None:
    drawn = names(DATA / "fedscale.json", 8)
    assert set(drawn[:3]) == set(drawn[3:6]) == {"1", "2", "3"}
    assert sorted(Counter(drawn).values()) == [2, 3, 3]
    assert drawn == names(DATA / "fedscale.json", 8)
    assert drawn[:5] == names(DATA / "fedscale.json", 5)
    assert len({tuple(names(DATA / "fedscale.json", 3, seed)) for seed in range(9)}) > 1


def test_the_draw_does_not_depend_on_the_format(tmp_path: Path) -> None:
    pickled = written(
        tmp_path, "client_device_capacity", pickle.dumps({int(k): v for k, v in CAPACITY.items()})
    )
    for path in (DATA / "fedscale.csv", pickled):
        assert names(path, 5, 3) == names(DATA / "fedscale.json", 5, 3)
        entries = draw_entries(path, 3, 0)
        assert {e.name: e.number("computation") for e in entries} == {
            "1": 10.0, "2": 20.0, "3": 160.0
        }  # fmt: skip


class Exploit:
    """Would write a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "owned")


def test_a_pickle_cannot_execute_anything(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    path = written(tmp_path, "capacity", pickle.dumps({1: {"computation": Exploit(target)}}))
    with pytest.raises(ValueError, match=r"capacity: not a pickle of plain values \(.*is not one"):
        draw_entries(path, 1, 0)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", r"a\.json: not a json file"),
        ("a.json", b"\xff\xfe\x00", r"a\.json: not a json file"),
        ("a.json", "[]", r"a\.json: must hold at least one entry by name, got \[\]"),
        ("a.json", "{}", r"must hold at least one entry by name, got \{\}"),
        ("a.json", '{"u": 3}', r"a\.json: entry 'u': must be an object, got 3"),
        ("a.csv", "", r"a\.csv: must have a column 'device', got None"),
        ("a.csv", "computation\n1\n", r"a\.csv: must have a column 'device', got \['comp"),
        ("a.csv", "device,computation\n", "must hold at least one entry"),
        ("a", b"nonsense", "a: not a pickle of plain values"),
        ("a", b"", "a: not a pickle of plain values"),
        ("a", pickle.dumps({1: {"x": np.float64(3)}}), r"not a pickle of plain .*numpy"),
    ],
)
def test_a_malformed_file_is_refused(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draw_entries(written(tmp_path, name, content), 1, 0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.json: cannot be read: No such file"):
        draw_entries(tmp_path / "gone.json", 1, 0)
    with pytest.raises(ValueError, match="num_nodes must be >= 1, got 0"):
        draw_entries(DATA / "fedscale.json", 0, 0)


@pytest.mark.parametrize(
    "value", [None, 0, -1, "fast", True, [1], float("nan"), float("inf"), "", 1e999]
)
def test_a_value_that_is_no_number_is_named(tmp_path: Path, value: Any) -> None:
    path = written(tmp_path, "a.json", json.dumps({"u": {"down_u": value}}))
    (entry,) = draw_entries(path, 1, 0)
    with pytest.raises(ValueError, match=r"a\.json: entry 'u': down_u must be a finite number > 0"):
        entry.number("down_u")
    with pytest.raises(ValueError, match=r"entry 'u': up_u must be .* >= 0, got None"):
        entry.number("up_u", zero=True)
    with pytest.raises(ValueError, match="entry 'u': messages must be a text, got None"):
        entry.text("messages")
