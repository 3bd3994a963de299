"""From telemetry and arrival times to an estimate of each device."""

from dataclasses import replace

from .types import DeviceProfile, Telemetry

#: A gate that holds a node back for longer than this leaves nothing to plan with.
_MAX_PAUSE_FRACTION = 0.99


def observe(
    profile: DeviceProfile,
    *,
    round_trip_s: float,
    since_last_s: float,
    telemetry: Telemetry | None,
    smoothing: float = 0.3,
    rate_smoothing: float = 0.05,
) -> DeviceProfile:
    """Fold one accepted reply into a node's profile.

    Every estimate x becomes (1 - a) x + a * observed with a = `smoothing`; the first observation
    is taken as it is. The time between replies has a longer memory, a = max(`rate_smoothing`,
    1 / replies): a node that returns from an absence is not suddenly a slow one. Observed are
    step time = busy / steps, pause fraction = paused / (busy + paused) and overhead = round trip
    - busy - paused.

    Parameters
    ----------
    profile : DeviceProfile
        The estimate so far.
    round_trip_s : float
        Seconds from the dispatch to the reply.
    since_last_s : float
        Seconds since the node's previous accepted reply (or since its first dispatch).
    telemetry : Telemetry | None
        The node's own report, if it made one.
    smoothing : float (default: 0.3)
        Weight of the new observation, in (0, 1].
    rate_smoothing : float (default: 0.05)
        The same for the time between replies.
    """

    def _blend(old: float | None, new: float, weight: float = smoothing) -> float:
        return new if old is None else (1 - weight) * old + weight * new

    num_observations = profile.num_observations + 1
    rate_weight = max(rate_smoothing, 1 / num_observations)
    profile = replace(
        profile,
        num_observations=num_observations,
        interarrival_s=_blend(profile.interarrival_s, since_last_s, rate_weight),
    )
    if telemetry is None or telemetry.num_steps < 1 or telemetry.busy_s <= 0:
        return profile
    training_s = telemetry.busy_s + telemetry.paused_s
    paused = min(telemetry.paused_s / training_s, _MAX_PAUSE_FRACTION)
    first = profile.step_time_s is None
    return replace(
        profile,
        step_time_s=_blend(profile.step_time_s, telemetry.busy_s / telemetry.num_steps),
        overhead_s=_blend(profile.overhead_s, max(0.0, round_trip_s - training_s)),
        pause_fraction=paused if first else _blend(profile.pause_fraction, paused),
    )
