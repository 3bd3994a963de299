"""Say in sentences what the figures show, also where it is not flattering."""

from collections.abc import Callable, Sequence

from simulations.report import number
from simulations.report.scenario import Arm, Scenario
from simulations.report.spread import Reach

SUBJECT = "deepedge"
# Two figures closer than this ratio are called the same.
SAME = 1.05


def headlines(scenario: Scenario) -> list[str]:
    """Return one sentence per rival, the strongest rival first.

    The subject is DeepEdge (with several variants, the one of the shortest label, which is the
    plain one) or, without it, the fastest arm. Its rivals are the fastest arm of every other
    strategy, so that no sentence beats a weak setting of a rival.
    """
    subject = _subject(scenario.arms)
    rivals: dict[str, Arm] = {}
    for arm in scenario.arms:
        if arm.strategy != subject.strategy:
            rivals.setdefault(arm.strategy, arm)
    others = list(rivals.values()) or [arm for arm in scenario.arms if arm is not subject]
    if not others:
        return [f"{_reached(subject, scenario)}."]
    return [f"{compare(subject, rival, scenario)}." for rival in others]


def compare(subject: Arm, rival: Arm, scenario: Scenario) -> str:
    """Return the comparison of two arms: time to target, then bytes, then violations."""
    text = _time(subject, rival, scenario)
    clauses = [clause for clause in (_bytes(subject, rival), _violations(subject, rival)) if clause]
    if not clauses:
        return text
    joint = ", with" if subject.time_s.complete else f"; {inline(subject.label)} had"
    return f"{text}{joint} {' and '.join(clauses)}"


def inline(label: str) -> str:
    """Return a label fit for the middle of a sentence: ``A, b`` becomes ``A (b)``."""
    name, comma, detail = label.partition(", ")
    return f"{name} ({detail})" if comma else label


def _subject(arms: Sequence[Arm]) -> Arm:
    own = [arm for arm in arms if arm.strategy == SUBJECT]
    return min(own, key=lambda arm: len(arm.label)) if own else arms[0]


def _reached(arm: Arm, scenario: Scenario) -> str:
    """Say whether and when an arm reached the target."""
    time, goal = arm.time_s, number.target(scenario.first.target_accuracy)
    horizon = number.seconds(scenario.horizon_s)
    name = inline(arm.label)
    if time.never:
        return f"{name} did not reach {goal} accuracy within {horizon} ({_count(time)})"
    if not time.complete:
        return f"{name} reached {goal} accuracy within {horizon} in only {_count(time)}"
    return f"{name} reached {goal} accuracy in {number.seconds(time.mean)}"


def _count(time: Reach) -> str:
    return f"{time.reached} of {time.total} seed{'s' if time.total > 1 else ''}"


def _time(subject: Arm, rival: Arm, scenario: Scenario) -> str:
    ours, theirs = subject.time_s, rival.time_s
    start, name, other = _reached(subject, scenario), inline(rival.label), theirs.mean
    if not ours.complete or ours.mean <= 0:
        return f"{start}, while {_reached(rival, scenario)}"
    factor = other / ours.mean
    if not theirs.complete:
        bound = "more than" if theirs.never else "at least"
        sooner = (
            f": at least {number.times(number.floored(factor, 2))} sooner" if factor >= SAME else ""
        )
        end = f"which got there in {'' if theirs.never else 'only '}{_count(theirs)}"
        return f"{start} against {bound} {number.seconds(other)} for {name}, {end}{sooner}"
    overlap = " (the ranges over the seeds overlap)" if _overlap(ours, theirs) else ""
    return f"{start} against {number.seconds(other)} for {name}, {_factor(factor)}{overlap}"


def _factor(factor: float) -> str:
    """Say how a rival's time relates to ours, as ``factor`` times as long."""
    if factor >= SAME:
        return f"{number.times(factor)} sooner"
    if factor <= 1 / SAME:
        return f"taking {number.times(1 / factor)} as long"
    return "about as soon"


def _overlap(ours: Reach, theirs: Reach) -> bool:
    return ours.total > 1 and ours.low <= theirs.high and theirs.low <= ours.high


def _bytes(subject: Arm, rival: Arm) -> str | None:
    """Compare the bytes to target; None unless every seed of both reached it."""
    ours, theirs = subject.num_bytes, rival.num_bytes
    if not (ours.complete and theirs.complete and ours.mean and theirs.mean):
        return None
    return _ratio("bytes to get there", ours.mean, theirs.mean, number.megabytes)


def _violations(subject: Arm, rival: Arm) -> str | None:
    """Compare the shares of violated requests; None unless both served requests."""
    ours, theirs = subject.violation_rate, rival.violation_rate
    if ours is None or theirs is None:
        return None
    if ours.mean == theirs.mean == 0:
        return "no latency violations on either side"
    if not ours.mean:
        return f"no latency violations (against {number.rate(theirs.mean)} of the requests)"
    if not theirs.mean:
        return f"latency violations in {number.rate(ours.mean)} of the requests (against none)"
    return _ratio("latency violations per request", ours.mean, theirs.mean, number.rate)


def _ratio(noun: str, ours: float, theirs: float, text: Callable[[float], str]) -> str:
    """Say how much less or more of ``noun`` there is, as in ``3.1× fewer bytes (4 against 12)``."""
    figures = f"({text(ours)} against {text(theirs)})"
    if max(ours, theirs) < SAME * min(ours, theirs):
        return f"about as many {noun} {figures}"
    if ours < theirs:
        return f"{number.times(theirs / ours)} fewer {noun} {figures}"
    return f"{number.times(ours / theirs)} as many {noun} {figures}"
