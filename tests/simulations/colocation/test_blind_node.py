"""A server counts a node that does not see its service, and goes on without it."""

from simulations.colocation.blind_node import Yielding, measure_yielding


def test_the_others_make_the_versions() -> None:
    found = measure_yielding(5)
    assert found.yielded == {1}
    assert found.updates == {2, 3}
    assert found.num_versions == 5
    assert found.is_as_promised


def test_a_blind_node_that_trains_is_no_success() -> None:
    assert not Yielding(
        yielded=frozenset(), updates=frozenset({1, 2, 3}), num_versions=5
    ).is_as_promised
