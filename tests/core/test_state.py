"""States come back with every bit, and damage is noticed."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepedge_flwr.core import state
from deepedge_flwr.core.state import Damaged, Names, Stateful, pack, storable, unpack
from deepedge_flwr.core.types import DeviceProfile

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=20)
)
KEYS = st.one_of(st.text(max_size=5), st.integers(), st.just("$dict"))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.sets(st.integers(), max_size=3),
    ),
    max_leaves=10,
)


def stored(state: dict[str, Any]) -> bytes:
    return b"".join(bytes(part) for part in pack(state))


def same(one: Any, other: Any) -> bool:
    """Equality to the last bit: NaN is itself, 0.0 is not -0.0, a list is no tuple."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return len(one) == len(other) and all(same(a, b) for a, b in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other if isinstance(one, set) else repr(one) == repr(other)


@given(st.dictionaries(KEYS.filter(lambda key: isinstance(key, str)), TREES, max_size=3))
def test_a_tree_comes_back_as_it_was(state: dict[str, Any]) -> None:
    assert same(unpack(stored(state)), state)


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.1, -0.0, np.nan, np.inf]),
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6).reshape(2, 3).T,
        np.zeros((0, 3)),
        np.array(7, np.int8),
    ],
    ids=str,
)
def test_arrays_come_back_and_can_be_changed(array: Any) -> None:
    found = unpack(stored({"a": array}))["a"]
    assert found.dtype == array.dtype and found.shape == array.shape
    assert found.tobytes() == array.tobytes()
    found[...] = 0


def test_other_values_come_back_as_their_own_types() -> None:
    profile = DeviceProfile(node_id=3, step_time_s=0.1)
    state = {"counter": Counter({2: 3}), "profile": profile, "by id": {3: profile}}
    found = unpack(stored(state))
    assert found == state
    assert found["counter"][99] == 0


def test_an_array_that_occurs_twice_is_stored_once() -> None:
    array = np.zeros(10_000)
    assert len(stored({"a": array, "b": [array]})) < 1.1 * array.nbytes


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(TypeError, match="cannot hold a complex: 1j"):
        pack({"a": [1j]})


def test_every_damage_is_noticed() -> None:
    data = stored({"a": np.arange(3.0), "b": {"c": [1, None]}})
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        for broken in (bytes(changed), data[:place]):
            with pytest.raises(Damaged):
                unpack(broken)


def test_a_state_of_another_format_is_not_read() -> None:
    with pytest.raises(Damaged, match="does not begin with"):
        unpack(json.dumps({"a": 1}).encode())


@pytest.mark.parametrize("dtype", [[("a", int), ("b", float)], "V2", object])
def test_arrays_whose_bytes_do_not_say_all_are_refused(dtype: Any) -> None:
    with pytest.raises(TypeError, match="a state cannot hold an array of dtype"):
        pack({"a": np.zeros(2, dtype)})


def test_large_arrays_are_yielded_in_pieces() -> None:
    packed = pack({"a": np.arange(300_000.0)})
    assert max(len(piece) for piece in packed) == 1 << 20
    assert np.array_equal(unpack(b"".join(packed))["a"], np.arange(300_000.0))


class Part(Stateful):
    STATE: Names = ("_a",)

    def __init__(self) -> None:
        self._a, self._option = 0, "mine"


class Whole(Part):
    STATE: Names = ("part", "_b")

    def __init__(self) -> None:
        super().__init__()
        self.part, self._b = Part(), [0]


def test_parts_and_base_classes_belong_to_a_state() -> None:
    whole = Whole()
    whole._a, whole.part._a, whole._b = 1, 2, [3]
    state = whole.state()
    assert state == {"_a": 1, "part": {"_a": 2}, "_b": [3]}
    other = Whole()
    part = other.part
    other.restore(state)
    assert other.part is part
    assert (other._a, part._a, other._b) == (1, 2, [3])


def test_an_object_of_a_class_that_is_not_there_is_a_dictionary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = stored({"profile": DeviceProfile(node_id=3)})
    monkeypatch.delitem(state._storable, "DeviceProfile")
    assert unpack(data)["profile"]["node_id"] == 3


def test_a_class_can_be_made_storable() -> None:
    @storable
    @dataclass
    class Mine:
        numbers: set[int]

    assert unpack(stored({"mine": Mine({1, 2})}))["mine"] == Mine({1, 2})
