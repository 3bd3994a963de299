"""What the loop asks of real nodes, and of simulated ones."""

import logging

import pytest

from deepedge_flwr import DeepEdge, FedBuff, FedCompass, FedNova
from deepedge_flwr.core.types import TrainPlan
from tests.numpy_app import arrays, fleet, follow_target, virtual_grid


class Hasty(DeepEdge):
    """Expects every reply within three seconds."""

    def reply_timeout_s(self, node_id: int, plan: TrainPlan | None) -> float:
        return 3.0


@pytest.mark.parametrize(
    ("is_deployed", "timeout_s", "patience_s"),
    [(False, 3600.0, 3.0), (True, 3600.0, 60.0), (True, 20.0, 20.0)],
)
def test_a_real_node_is_given_the_time_that_flower_takes_to_miss_it(
    is_deployed: bool, timeout_s: float, patience_s: float
) -> None:
    strategy = Hasty()
    strategy._is_deployed, strategy._timeout_s = is_deployed, timeout_s
    assert strategy._patience_with_s(1, None) == patience_s


def test_in_simulation_a_node_has_one_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flwr")
    grid = virtual_grid(follow_target([1.0, 1.0]), fleet(1.0, 2.0))
    FedBuff(buffer_size=1, outstanding=2).start(grid, arrays([0.0]), num_rounds=4)
    under_way = 0
    for row in grid.ledger.of("dispatch", "reply"):
        if row.node_id == 2:
            under_way += 1 if row.kind == "dispatch" else -1
            assert under_way <= 1
    assert "outstanding=2 is for deployments: 1 here" in caplog.text


@pytest.mark.parametrize("make", [FedNova, FedCompass])
def test_who_sends_one_message_per_round_says_so(make: type[DeepEdge]) -> None:
    with pytest.raises(ValueError, match="sends a node one message at a time: outstanding must be"):
        make(outstanding=2)
