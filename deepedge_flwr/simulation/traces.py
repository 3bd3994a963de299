"""Fleets from published traces: FLASH (speeds, availability) and FedScale (capacity).

Formats: FLASH [Yang et al., 2021], WWW'21, github.com/PKU-Chengxu/FLASH, models/device.py and
models/timer.py; FedScale [Lai et al., 2022], arXiv:2105.11367, github.com/SymbioticLab/FedScale,
fedscale/cloud/internal/client_metadata.py. Of each file as many entries are drawn as the fleet
has devices, a function of the seed; all are used before one is used again.
"""

import math
from datetime import datetime
from pathlib import Path

from .devices import LinkSpec
from .measured import log_sigma
from .presence import Interval, Presence, Schedule
from .trace_file import Entry, draw_entries

_FLASH_TIME, _FLASH_ORIGIN = "%Y-%m-%d %H:%M:%S", datetime(2020, 1, 2)
#: What an event says of: charging, WiFi, locked. Training is allowed while all three are true.
_FLASH_EVENTS: dict[str, tuple[int, bool]] = {
    "battery_charged_on": (0, True),
    "battery_charged_off": (0, False),
    "wifi": (1, True),
    **dict.fromkeys(("unknown", "2g", "3g", "4g", "5g"), (1, False)),
    "screen_lock": (2, True),
    "screen_unlock": (2, False),
}
_FLASH_IGNORED = {
    *("screen_on", "screen_off", "battery_low", "battery_okay", "phone_on", "phone_off"),
}


def flash_links(
    path: Path | str,
    num_nodes: int,
    *,
    latency_s: float = 0.0,
    payload_factor: float = 1.0,
    seed: int = 0,
) -> list[LinkSpec]:
    """Links from FLASH's speed file, {user: {down_u, down_sigma, up_u, up_sigma}} in kB/s.

    The variation of a link is the mean of both directions' sigma / u.

    Parameters
    ----------
    path : Path | str
        The JSON file.
    num_nodes : int
        Number of links.
    latency_s : float (default: 0.0)
        Time before the first byte, both ways.
    payload_factor : float (default: 1.0)
        Bytes that each simulated byte stands for: a toy model then takes the time of a large one.
    seed : int (default: 0)
        Which users are drawn.

    Raises
    ------
    ValueError
        If the file is malformed; the message names file, entry, rule and value.
    """
    links = []
    for entry in draw_entries(path, num_nodes, seed):
        down, up = entry.number("down_u"), entry.number("up_u")
        sigmas = entry.number("down_sigma", zero=True), entry.number("up_sigma", zero=True)
        links.append(
            LinkSpec(
                uplink_bytes_per_s=up * 1e3 / payload_factor,
                downlink_bytes_per_s=down * 1e3 / payload_factor,
                uplink_latency_s=latency_s,
                downlink_latency_s=latency_s,
                jitter=log_sigma((sigmas[0] / down + sigmas[1] / up) / 2),
            )
        )
    return links


def flash_presences(
    path: Path | str, num_nodes: int, *, speed_up: float = 1.0, seed: int = 0
) -> list[Presence]:
    """Presence from FLASH's state traces, {user: {messages: "time<TAB>event<NEWLINE>..."}}.

    A device is on the network while it is locked, charging and in a WiFi. Its trace repeats from
    the first event to the last, as in FLASH; one without duration is a device that never comes.

    Parameters
    ----------
    path : Path | str
        The JSON file.
    num_nodes : int
        Number of devices.
    speed_up : float (default: 1.0)
        Seconds of the trace in a virtual second; 720 makes a day two minutes.
    seed : int (default: 0)
        Which users are drawn.

    Raises
    ------
    ValueError
        If the file is malformed; the message names file, entry, rule and value.
    """
    if not 0 < speed_up < math.inf:
        raise ValueError(f"speed_up must be finite and > 0, got {speed_up}")
    entries = draw_entries(path, num_nodes, seed)
    return [Presence(schedule=_flash_schedule(entry, speed_up)) for entry in entries]


def fedscale_step_times_s(
    path: Path | str, num_nodes: int, *, batch_size: int, seed: int = 0
) -> list[float]:
    """Step times from FedScale's capacity file, {device: {computation, communication}}.

    A local step takes 3 batch_size computation: `computation` is the inference time of a sample
    in ms, and FedScale takes the backward pass to cost twice as much again.

    Parameters
    ----------
    path : Path | str
        JSON (.json), CSV with a column `device` (.csv), or the original pickle (any other name),
        of which nothing but plain containers and numbers is read.
    num_nodes : int
        Number of devices.
    batch_size : int
        Samples in a local step.
    seed : int (default: 0)
        Which devices are drawn: the same as for `fedscale_links`.

    Raises
    ------
    ValueError
        If the file is malformed; the message names file, entry, rule and value.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    entries = draw_entries(path, num_nodes, seed)
    return [3 * batch_size * entry.number("computation") / 1e3 for entry in entries]


def fedscale_links(
    path: Path | str,
    num_nodes: int,
    *,
    latency_s: float = 0.0,
    payload_factor: float = 1.0,
    jitter: float = 0.0,
    seed: int = 0,
) -> list[LinkSpec]:
    """Links from FedScale's capacity file: `communication` in kbit/s, the same both ways.

    Takes the parameters of `flash_links`, and `jitter` as `LinkSpec` does: FedScale's links do
    not vary. Raises as `fedscale_step_times_s` does.
    """
    links = []
    for entry in draw_entries(path, num_nodes, seed):
        bytes_per_s = entry.number("communication") * 1e3 / 8 / payload_factor
        links.append(
            LinkSpec(
                uplink_bytes_per_s=bytes_per_s,
                downlink_bytes_per_s=bytes_per_s,
                uplink_latency_s=latency_s,
                downlink_latency_s=latency_s,
                jitter=jitter,
            )
        )
    return links


def _flash_schedule(entry: Entry, speed_up: float) -> Schedule:
    events = _flash_events(entry)
    start_s, end_s = (events[0][0], events[-1][0]) if events else (0.0, 0.0)
    if start_s == end_s:
        return Schedule(online_s=())
    state, since_s, online_s = [False, False, False], math.inf, list[Interval]()
    for time_s, change in events:
        if change is not None:
            state[change[0]] = change[1]
        if all(state):
            since_s = min(since_s, time_s)
        elif since_s < math.inf:
            online_s.append((since_s, time_s))
            since_s = math.inf
    if since_s < end_s:
        online_s.append((since_s, end_s))
    scaled = [(on_s / speed_up, off_s / speed_up) for on_s, off_s in online_s]
    return Schedule.repeating(scaled, (end_s - start_s) / speed_up)


def _flash_events(entry: Entry) -> list[tuple[float, tuple[int, bool] | None]]:
    """Return the events of a trace in order, in seconds after FLASH's origin of time."""
    events = []
    for line in entry.text("messages").splitlines():
        if not line.strip():
            continue
        time, _, event = line.strip().partition("\t")
        event = event.strip().lower()
        if event not in _FLASH_EVENTS and event not in _FLASH_IGNORED and event[-1:] != "%":
            entry.refuse("messages", "must be lines 'time<TAB>event' of known events", line)
        try:
            moment = datetime.strptime(time.strip(), _FLASH_TIME)
        except ValueError:
            entry.refuse("messages", f"must have times as {_FLASH_TIME!r}", line)
        events.append(((moment - _FLASH_ORIGIN).total_seconds(), _FLASH_EVENTS.get(event)))
    return sorted(events, key=lambda event: event[0])
