"""What the verification of faults counts."""

from deepedge_flwr.simulation import Fault, FaultPlan, RunLedger
from simulations.verify.faults import _faults_of, is_balanced
from simulations.verify.small_run import build_grid, run


def ledger(*kinds: str) -> RunLedger:
    made = RunLedger()
    made.add(0.0, "dispatch", message_id="m")
    for kind in kinds:
        made.add(1.0, kind, message_id="m")
    return made


def test_a_dispatch_has_one_end() -> None:
    assert is_balanced(ledger("reply"))
    assert is_balanced(ledger("compute", "lost"))
    assert not is_balanced(ledger())
    assert not is_balanced(ledger("reply", "late"))


def test_every_kind_of_fault_is_tried_and_makes_a_run_of_its_own() -> None:
    faults = list(_faults_of(1, 1, 2.0))
    assert len(faults) == len(set(faults)) > 30
    clean = run(build_grid(), 3)
    for kind in ("sign_flip", "hang", "crash"):
        fault = next(f for f in faults if f.kind == kind)
        assert isinstance(fault, Fault)
        assert run(build_grid(FaultPlan((fault,))), 3) != clean
