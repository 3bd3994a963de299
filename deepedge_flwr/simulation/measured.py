"""Step times and links of devices that others have measured, as distributions to draw from.

Sources: AI-Benchmark scores of 307 phone models (ai-benchmark.com); WiFi speeds of 19 users in
FLASH [Yang et al., 2021] (WWW'21, github.com/PKU-Chengxu/FLASH, models/speed_distri.json).
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from .devices import LinkSpec, log_normal

#: Quantiles of the score of a phone; a step takes time in inverse proportion to it.
PHONE_SCORES = {0.05: 511.0, 0.25: 1543.0, 0.5: 4638.0, 0.75: 13787.0, 0.95: 30229.0}

# Least, median and greatest of 19 users' mean speeds in kB/s; the extremes of a sample of n are
# about its quantiles 0.5/n and 1 - 0.5/n.
_LEAST, _GREATEST = 0.5 / 19, 1 - 0.5 / 19
WIFI_DOWN_KB_PER_S = {_LEAST: 2370.0, 0.5: 4318.0, _GREATEST: 17333.0}
WIFI_UP_KB_PER_S = {_LEAST: 431.0, 0.5: 3286.0, _GREATEST: 6635.0}
#: Standard deviation of one user's speed relative to its mean: mostly 0.2 to 0.65.
WIFI_VARIATION = 0.4


def fit_log_sigma(quantiles: Mapping[float, float]) -> float:
    """Fit the log standard deviation of a log-normal distribution to some of its quantiles.

    The least-squares slope of ln(quantile) over the standard normal quantile of the same order.

    Parameters
    ----------
    quantiles : Mapping[float, float]
        Value by order in (0, 1), at least two.
    """
    if len(quantiles) < 2 or not all(0 < p < 1 and q > 0 for p, q in quantiles.items()):
        raise ValueError(
            f"quantiles must be at least two values > 0 by order in (0, 1), got {dict(quantiles)}"
        )
    normal = [NormalDist().inv_cdf(order) for order in quantiles]
    return float(np.polyfit(normal, [math.log(value) for value in quantiles.values()], 1)[0])


def relative_speeds(
    num_nodes: int, step_time_s: float, relative_times: Sequence[float]
) -> list[float]:
    """Step times of equally many devices of each kind, in the order in which they are given.

    `relative_times` are the kinds' step times in units of `step_time_s`.
    """
    if num_nodes < 1 or not step_time_s > 0 or not relative_times or min(relative_times) <= 0:
        raise ValueError(
            "need num_nodes >= 1, step_time_s > 0 and relative_times > 0, got "
            f"{num_nodes}, {step_time_s} and {list(relative_times)}"
        )
    kinds = [i * len(relative_times) // num_nodes for i in range(num_nodes)]
    return [step_time_s * relative_times[kind] for kind in kinds]


def phones(num_nodes: int, step_time_s: float, seed: int = 0) -> list[float]:
    """Step times of phones, `step_time_s` the median; log-normal as `PHONE_SCORES`."""
    return log_normal(num_nodes, step_time_s, fit_log_sigma(PHONE_SCORES), seed)


def wifi_links(
    num_nodes: int, *, latency_s: float = 0.0, payload_factor: float = 1.0, seed: int = 0
) -> list[LinkSpec]:
    """WiFi links, each direction log-normal over the users as measured by FLASH.

    Parameters
    ----------
    num_nodes : int
        Number of links.
    latency_s : float (default: 0.0)
        Time before the first byte, both ways.
    payload_factor : float (default: 1.0)
        Bytes that each simulated byte stands for: a toy model then takes the time of a large one.
    seed : int (default: 0)
        Link i is a function of it and i.
    """
    if not payload_factor > 0:
        raise ValueError(f"payload_factor must be > 0, got {payload_factor}")
    noise = np.random.default_rng((seed, 3)).standard_normal((num_nodes, 2))
    down, up = (
        1e3 / payload_factor * speeds[0.5] * np.exp(fit_log_sigma(speeds) * noise[:, column])
        for column, speeds in enumerate((WIFI_DOWN_KB_PER_S, WIFI_UP_KB_PER_S))
    )
    return [
        LinkSpec(
            uplink_bytes_per_s=float(up[i]),
            downlink_bytes_per_s=float(down[i]),
            uplink_latency_s=latency_s,
            downlink_latency_s=latency_s,
            jitter=log_sigma(WIFI_VARIATION),
        )
        for i in range(num_nodes)
    ]


def log_sigma(variation: float) -> float:
    """Return the log standard deviation of a log-normal with this standard deviation / mean."""
    return math.sqrt(math.log1p(variation**2))
