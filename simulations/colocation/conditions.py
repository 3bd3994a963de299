"""In which conditions a training is put beside its services."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from deepedge_flwr.client.isolation import AUTOGROUP, BETWEEN_TICKS, IDLE_CLASS, IDLE_IO

from .bench import Condition
from .scenarios import Scenario

_BOUND = {"OMP_PROC_BIND": "true"}
_HUGE_PAGES = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432"
    ":glibc.malloc.trim_threshold=268435456"
}
#: As the SuperNode's unit file has it (DEPLOYMENT.md).
_ADVISED = _BOUND | _HUGE_PAGES
_PASSIVE = {"OMP_WAIT_POLICY": "passive"}
_ALL = (AUTOGROUP, BETWEEN_TICKS, IDLE_CLASS, IDLE_IO)


def conditions_of(
    scenario: Scenario, budget_s: float, sockets: Mapping[str, str]
) -> dict[str, Condition]:
    """Return the trainings to compare, by name."""
    plain = Condition(training=scenario.training, same_session=scenario.same_session)

    def gated(name: str, condition: Condition) -> Condition:
        assert condition.training is not None
        training = replace(condition.training, budget_s=budget_s, probe=f"unix:{sockets[name]}")
        return replace(condition, training=training)

    protected = _isolated(plain, _ALL, free_cores=scenario.free_cores)
    conditions = {"uncontrolled": plain, "protected": gated("protected", protected)}
    if scenario.gated or scenario.ablated:
        conditions["gate alone"] = gated("gate alone", plain)
    return conditions | (_ablation(plain) if scenario.ablated else {})


def _isolated(
    plain: Condition,
    mechanisms: tuple[str, ...],
    environment: Mapping[str, str] = _ADVISED,
    free_cores: bool = False,
) -> Condition:
    assert plain.training is not None
    training = replace(plain.training, isolation=mechanisms, free_cores=free_cores)
    return replace(plain, training=training, environment=environment)


def _ablation(plain: Condition) -> dict[str, Condition]:
    looks_out = tuple(mechanism for mechanism in _ALL if mechanism != BETWEEN_TICKS)
    bound, free = partial(_isolated, plain), partial(_isolated, plain, free_cores=True)
    return {
        "SCHED_IDLE alone": bound((IDLE_CLASS,), {}),
        "autogroup alone": bound((AUTOGROUP,), {}),
        "bound threads alone": bound(()),
        "free cores alone": free(()),
        "isolation without bound threads": bound(_ALL, _HUGE_PAGES),
        "isolation with passive waiting": bound(_ALL, _HUGE_PAGES | _PASSIVE),
        "isolation and free cores without bound threads": free(_ALL, _HUGE_PAGES),
        "isolation and free cores without huge pages": free(_ALL, _BOUND),
        "isolation and bound threads": bound(_ALL),
        "isolation and free cores": free(_ALL),
        "bound threads, isolation without preemption between ticks": bound(looks_out),
        "free cores, isolation without preemption between ticks": free(looks_out),
    }
