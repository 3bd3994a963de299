"""What is compared with what."""

from simulations.colocation.conditions import conditions_of
from simulations.colocation.scenarios import SCENARIOS


def test_each_scenario_is_named_once_and_compares_with_uncontrolled_training() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    sockets = {"protected": "/p", "gate alone": "/g"}
    for scenario in SCENARIOS:
        conditions = conditions_of(scenario, 0.01, sockets)
        protected = conditions["protected"].training
        assert protected is not None and protected.probe == "unix:/p"
        assert protected.free_cores == scenario.free_cores
        each = list(conditions.values())
        assert all(each.count(condition) == 1 for condition in each)
        assert conditions["uncontrolled"].training == scenario.training
        for name, condition in conditions.items():
            training = condition.training
            assert training is not None
            assert (training.budget_s == 0.01) == bool(training.probe) == (name in sockets), name
        assert ("gate alone" in conditions) == (scenario.gated or scenario.ablated)
