"""Where the subject loses: every figure in which a rival is ahead of it, the largest first."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from .comparison import Comparison, Entry, Ratio, ratio

#: A time above so many times the oracle's is listed.
ORACLE_FACTOR = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One figure in which a rival is ahead.

    Attributes
    ----------
    task, fleet : str
        The scenario.
    measure : str
        What is compared.
    rival : str
        Name of the arm that is ahead the most.
    ours, theirs : float
        The means, in s, bytes or accuracy.
    factor : Ratio
        How many times as much the subject needs; for accuracy, their quotient, theirs over ours.
    others : tuple[str, ...]
        Names of the other arms that are ahead, in the order of their lead.
    """

    task: str
    fleet: str
    measure: str
    rival: str
    ours: float
    theirs: float
    factor: Ratio
    others: tuple[str, ...] = ()


#: How many times as much one entry needs as another.
Factor = Callable[[Entry, Entry], Ratio]
Mean = Callable[[Entry], float]


def time_losses(comparisons: Sequence[Comparison], mark: int, measure: str) -> list[Loss]:
    """Return where baselines reach a mark sooner, seeds that did not counted with the horizon."""
    return _losses(
        comparisons,
        measure,
        lambda one, other: ratio(one.time_s(mark), other.time_s(mark)),
        lambda entry: entry.time_s(mark).mean,
    )


def bytes_losses(comparisons: Sequence[Comparison], measure: str) -> list[Loss]:
    """Return where baselines send fewer bytes to the target.

    A baseline counts only if all its seeds got there: one that sends nothing is not ahead.
    """
    complete = [
        Comparison(
            task=c.task,
            fleet=c.fleet,
            roles=c.roles,
            entries={
                arm: entry
                for arm, entry in c.entries.items()
                if entry.num_bytes.complete or not c.roles.is_baseline(arm)
            },
        )
        for c in comparisons
    ]
    return _losses(
        complete,
        measure,
        lambda one, other: ratio(one.num_bytes, other.num_bytes),
        lambda entry: entry.num_bytes.mean,
    )


def accuracy_losses(comparisons: Sequence[Comparison], measure: str) -> list[Loss]:
    """Return where baselines end with a higher accuracy."""
    return _losses(comparisons, measure, _accuracies, _accuracy)


def oracle_losses(comparisons: Sequence[Comparison], measure: str) -> list[Loss]:
    """Return where the subject takes more than 1.25 times the oracle's time."""
    found = []
    for c in comparisons:
        factor = c.to_oracle(c.roles.subject)
        if factor is not None and factor.value > ORACLE_FACTOR:
            oracle = c.entries[c.roles.oracle]
            found.append(
                Loss(
                    task=c.task,
                    fleet=c.fleet,
                    measure=measure,
                    rival=oracle.name,
                    ours=c.entries[c.roles.subject].time_s().mean,
                    theirs=oracle.time_s().mean,
                    factor=factor,
                )
            )
    return _sorted(found)


def _losses(
    comparisons: Sequence[Comparison], measure: str, factor: Factor, mean: Mean
) -> list[Loss]:
    return _sorted(loss for c in comparisons for loss in _loss(c, measure, factor, mean))


def _loss(c: Comparison, measure: str, factor: Factor, mean: Mean) -> Iterator[Loss]:
    ours = c.entries.get(c.roles.subject)
    if ours is None:
        return
    leads = [
        (factor(ours, entry), entry)
        for arm, entry in c.entries.items()
        if c.roles.is_baseline(arm)
    ]  # fmt: skip
    ahead = sorted((lead for lead in leads if lead[0].value > 1), key=lambda lead: -lead[0].value)
    if ahead:
        (most, rival), *others = ahead
        yield Loss(
            task=c.task,
            fleet=c.fleet,
            measure=measure,
            rival=rival.name,
            ours=mean(ours),
            theirs=mean(rival),
            factor=most,
            others=tuple(entry.name for _, entry in others),
        )


def _accuracy(entry: Entry) -> float:
    return entry.spread_of("final_accuracy").mean


def _accuracies(one: Entry, other: Entry) -> Ratio:
    return Ratio(value=_accuracy(other) / _accuracy(one))


def _sorted(losses: Iterable[Loss]) -> list[Loss]:
    return sorted(losses, key=lambda loss: -loss.factor.value)
