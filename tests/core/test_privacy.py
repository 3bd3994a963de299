"""Short updates, noise as a function of seed and version, and how often each node took part."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepedge_flwr.core.privacy import Privacy, PrivateSums


def sums(clip_norm: float = 2.0, noise_multiplier: float = 3.0, entropy: int = 7) -> PrivateSums:
    return PrivateSums(Privacy(clip_norm=clip_norm, noise_multiplier=noise_multiplier), entropy)


def test_a_short_update_stays_as_it_is() -> None:
    vector = np.array([1.0, 0.0])
    assert sums().clipped(1, vector, 2.0) is vector


def test_a_long_one_is_shortened_with_its_weight() -> None:
    vector = np.array([3.0, 4.0])
    clipped = sums().clipped(1, vector, 0.8)
    assert 0.8 * clipped == pytest.approx(np.array([1.2, 1.6]))


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1), st.floats(0, 1e6))
def test_none_is_longer_than_the_clip(values: list[float], weight: float) -> None:
    clipped = sums().clipped(1, np.array(values, float), weight)
    assert weight * np.linalg.norm(clipped) <= 2.0 * (1 + 1e-9)


def test_what_overflows_counts_for_nothing() -> None:
    with np.errstate(over="ignore"):
        clipped = sums().clipped(1, np.full(3, 1e200), 1e200)
    assert clipped.tolist() == [0.0, 0.0, 0.0]


def test_noise_is_a_function_of_entropy_and_version() -> None:
    noise = [sums(entropy=e).noise(v, 5).tolist() for e, v in ((1, 0), (1, 0), (1, 1), (2, 0))]
    assert noise[0] == noise[1]
    assert len({tuple(values) for values in noise}) == 3


def test_noise_is_as_strong_as_it_is_said_to_be() -> None:
    noise = sums().noise(0, 200_000)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(noise.std()) == pytest.approx(3.0 * 2.0, rel=0.01)


def test_m_versions_with_one_update_each_divide_the_noise_by_the_root_of_m() -> None:
    private = sums()
    assert private.noise_multiplier == math.inf
    for version in range(9):
        private.clipped(1, np.ones(1), 1.0)
        private.noise(version, 1)
    assert private.noise_multiplier == pytest.approx(3.0 / 3.0)


def test_twice_in_a_version_is_twice_as_far() -> None:
    private = sums()
    for node_id in (1, 2, 2):
        private.clipped(node_id, np.ones(1), 1.0)
    private.noise(0, 1)
    assert private.noise_multiplier == pytest.approx(3.0 / 2.0)


def test_a_device_with_two_node_ids_is_one() -> None:
    private = sums()
    private.clipped(1, np.ones(1), 1.0)
    private.noise(0, 1)
    private.clipped(1, np.ones(1), 1.0)
    private.renamed(1, 5)
    private.clipped(5, np.ones(1), 1.0)
    private.noise(1, 1)
    assert private.noise_multiplier == pytest.approx(3.0 / math.sqrt(1 + 4))


def test_its_state_is_all_of_it() -> None:
    private = sums()
    private.clipped(1, np.ones(1), 1.0)
    private.noise(0, 1)
    private.clipped(1, np.ones(1), 1.0)
    twin = sums(entropy=0)
    twin.restore(private.state())
    assert twin.noise(1, 3).tolist() == private.noise(1, 3).tolist()
    assert twin.noise_multiplier == private.noise_multiplier


def test_renewed_noise_is_another_of_the_same_strength() -> None:
    private, before = sums(), sums().noise(3, 100_000)
    private.renew(8)
    after = private.noise(3, 100_000)
    assert float((after - before).std()) == pytest.approx(math.sqrt(2) * 6.0, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_norm": 0.0}, "clip_norm must be finite and > 0, got 0.0"),
        ({"clip_norm": math.inf}, "clip_norm must be finite and > 0, got inf"),
        ({"noise_multiplier": -1.0}, "noise_multiplier must be finite and >= 0, got -1.0"),
        ({"delta": 1.0}, r"delta must be in \\(0, 1\\), got 1.0"),
    ],
)
def test_options(changes: dict[str, float], message: str) -> None:
    options = {"clip_norm": 1.0, "noise_multiplier": 1.0}
    with pytest.raises(ValueError, match=message.replace("\\\\", "\\")):
        Privacy(**{**options, **changes})  # type: ignore[arg-type]
