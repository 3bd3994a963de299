"""Hand-computed, and against a memory that adds everything up anew."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepedge_flwr.core.memory import UpdateMemory
from deepedge_flwr.core.state import pack, unpack

ZERO, ONE, TWO, FOUR = (np.full(2, value) for value in (0.0, 1.0, 2.0, 4.0))


def test_two_versions_by_hand() -> None:
    memory = UpdateMemory(2, share=0.5)
    memory.keep(1, ONE)
    memory.keep(2, FOUR, weight=3.0)
    # Nothing counts before the next version.
    assert 1 not in memory
    np.testing.assert_array_equal(memory.news(2, TWO), TWO)
    np.testing.assert_array_equal(memory.calibrated(ONE, 4), ONE)
    memory.advance(1)
    assert 1 in memory and 3 not in memory
    np.testing.assert_array_equal(memory.news(2, TWO), TWO - 0.5 * FOUR)
    np.testing.assert_array_equal(memory.news(3, TWO), TWO)
    np.testing.assert_array_equal(memory.calibrated(ONE, 4), ONE + 0.5 * (ONE + 3 * FOUR) / 4)
    memory.keep(2, ONE)
    memory.keep(2, TWO)  # the last of a version counts
    memory.advance(2)
    np.testing.assert_array_equal(memory.calibrated(ZERO, 4), 0.5 * (ONE + TWO) / 4)


def test_who_has_left_is_still_one_of_the_nodes() -> None:
    memory = UpdateMemory(2)
    for node_id in (1, 2, 3):
        memory.keep(node_id, ONE)
    memory.advance(1)
    np.testing.assert_array_equal(memory.calibrated(ZERO, 2), ONE)


def test_an_update_from_an_older_base_does_not_replace_a_newer_one() -> None:
    memory = UpdateMemory(2)
    memory.keep(1, FOUR, base_version=5)
    memory.keep(1, ONE, base_version=4)
    memory.advance(1)
    memory.keep(1, ONE, base_version=4)
    memory.advance(2)
    np.testing.assert_array_equal(memory.calibrated(ZERO, 1), FOUR)


def test_what_is_discarded_never_counts() -> None:
    memory = UpdateMemory(2)
    memory.keep(1, ONE)
    memory.advance(1)
    memory.keep(1, FOUR)
    memory.discard()
    memory.advance(2)
    np.testing.assert_array_equal(memory.calibrated(ZERO, 1), ONE)


def test_what_is_too_old_is_forgotten() -> None:
    memory = UpdateMemory(2)
    memory.keep(1, ONE)
    memory.advance(1, max_age=2)
    memory.keep(2, FOUR)
    memory.advance(3, max_age=2)
    np.testing.assert_array_equal(memory.calibrated(ZERO, 2), (ONE + FOUR) / 2)
    memory.advance(4, max_age=2)
    assert 1 not in memory
    np.testing.assert_array_equal(memory.calibrated(ZERO, 2), FOUR / 2)


def test_when_it_is_full_only_those_it_knows_are_kept() -> None:
    memory = UpdateMemory(2, max_nodes=2)
    for node_id in (1, 2, 3):
        memory.keep(node_id, ONE)
    memory.advance(1)
    assert [node_id in memory for node_id in (1, 2, 3)] == [True, True, False]
    assert [memory.has_room(node_id) for node_id in (1, 2, 3)] == [True, True, False]
    memory.keep(3, ONE)
    memory.keep(1, FOUR)
    memory.advance(2)
    assert 3 not in memory
    np.testing.assert_array_equal(memory.calibrated(ZERO, 2), (ONE + FOUR) / 2)


def test_a_share_of_nothing_keeps_nothing() -> None:
    memory = UpdateMemory(2, share=0.0)
    memory.keep(1, ONE)
    assert memory.state()["_fresh"] == {}
    memory.advance(1)
    assert 1 not in memory
    assert memory.calibrated(ONE, 1) is ONE


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got"):
        UpdateMemory(2, share=share)


@pytest.mark.parametrize("num_advances", [0, 1])
def test_a_device_with_a_new_id_is_remembered(num_advances: int) -> None:
    memory = UpdateMemory(2)
    memory.keep(1, ONE)
    for version in range(num_advances):
        memory.advance(version + 1)
    memory.renamed(1, 7)
    memory.renamed(5, 6)  # of whom nothing is known
    memory.advance(2)
    assert 7 in memory and 1 not in memory and 6 not in memory
    np.testing.assert_array_equal(memory.calibrated(ZERO, 1), ONE)


def test_what_is_known_of_the_new_id_wins() -> None:
    memory = UpdateMemory(2)
    memory.keep(1, ONE)
    memory.keep(7, FOUR)
    memory.advance(1)
    memory.keep(1, TWO)
    memory.renamed(1, 7)
    memory.advance(2)
    np.testing.assert_array_equal(memory.calibrated(ZERO, 1), FOUR)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 5), st.integers(-9, 9), st.integers(1, 4)),
        st.tuples(st.just("advance"), st.integers(1, 6)),
        st.tuples(st.just("renamed"), st.integers(0, 5), st.integers(0, 5)),
        st.tuples(st.just("saved")),
    ),
    max_size=40,
)


@given(actions)
def test_its_sum_is_that_of_what_it_remembers(actions: list[tuple[Any, ...]]) -> None:
    memory, version = UpdateMemory(2, max_nodes=4), 0
    for name, *values in actions:
        if name == "keep":
            memory.keep(values[0], np.full(2, float(values[1])), float(values[2]))
        elif name == "advance":
            version += 1
            memory.advance(version, max_age=values[0])
        elif name == "renamed" and values[0] != values[1]:
            memory.renamed(*values)
        elif name == "saved":
            state = unpack(b"".join(bytes(part) for part in pack(memory.state())))
            memory = UpdateMemory(2, max_nodes=4)
            memory.restore(state)
        state = memory.state()
        kept = state["_updates"].values()
        assert len(state["_updates"].keys() | state["_fresh"].keys()) <= 4
        expected = sum((weight * delta for delta, weight, *_ in kept), ZERO)
        np.testing.assert_array_equal(state["_sum"], expected)
