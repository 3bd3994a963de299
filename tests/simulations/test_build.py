"""The parts of a run, as its configuration describes them."""

from simulations.build import build_fleet, build_strategy
from simulations.configuration import compose_config


def test_the_gate_is_the_services_budget_where_there_is_both() -> None:
    def budget_s(*overrides: str) -> float | None:
        config = compose_config(["num_nodes=4", *overrides])
        strategy = build_strategy(config, build_fleet(config)[1], 4)
        return getattr(strategy, "latency_budget_s", None)

    assert budget_s("service=control_loop") == 0.02
    assert budget_s("service=control_loop", "service.build.budget_s=0.03") == 0.03
    assert budget_s("service=control_loop", "gate=false") is None
    assert budget_s() is None
    assert budget_s("service=control_loop", "strategy=fedavg") is None


def test_a_fleet_has_its_service_on_every_device() -> None:
    fleet, service = build_fleet(compose_config(["num_nodes=4", "service=control_loop", "seed=5"]))
    assert service is not None
    assert [device.service for device in fleet.devices] == [service] * 4
    assert fleet.seed == 5
    assert build_fleet(compose_config(["num_nodes=4"]))[1] is None
