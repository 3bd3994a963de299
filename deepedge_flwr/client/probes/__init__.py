"""How the latency of the service on a real device is seen: one small class each."""

import importlib
from pathlib import Path

from .pressure import PressureProbe
from .prometheus import PrometheusProbe
from .sampled import HttpProbe, SampledProbe, SocketProbe, WakeUpProbe
from .watched import Probe, Watched, watching

__all__ = [
    "HttpProbe",
    "PressureProbe",
    "Probe",
    "PrometheusProbe",
    "SampledProbe",
    "SocketProbe",
    "WakeUpProbe",
    "Watched",
    "make_probe",
    "watching",
]

_FORMS = (
    "http(s)://..., prometheus:URL#METRIC, unix:/PATH, wake-up, pressure, pressure:/FILE or "
    "module:function"
)


def make_probe(text: str) -> Probe:
    """Return the probe that a node's `latency-probe` names.

    Parameters
    ----------
    text : str
        `http://...` or `https://...` (`HttpProbe`), `prometheus:URL#METRIC` (`PrometheusProbe`),
        `unix:/PATH` (`SocketProbe`), `wake-up` (`WakeUpProbe`), `pressure` or `pressure:/FILE`
        (`PressureProbe`), or `module:function`.

    Raises
    ------
    ValueError
        If it names none.
    """
    kind, _, rest = text.partition(":")
    if kind in ("http", "https"):
        return HttpProbe(text)
    if kind == "prometheus":
        url, _, metric = rest.partition("#")
        if not url.startswith("http") or not metric:
            raise ValueError(f"must be prometheus:URL#METRIC, got {text!r}")
        return PrometheusProbe(url, metric)
    if kind == "unix":
        if not Path(rest).is_absolute():
            raise ValueError(f"must be unix:/PATH with an absolute path, got {text!r}")
        return SocketProbe(rest)
    if text == "wake-up":
        return WakeUpProbe()
    if kind == "pressure":
        return PressureProbe(Path(rest)) if rest else PressureProbe()
    return _load(text)


def _load(text: str) -> Probe:
    module, _, name = text.partition(":")
    try:
        probe = getattr(importlib.import_module(module), name)
    except Exception as error:  # importing runs the app's own code
        raise ValueError(f"must be {_FORMS}, got {text!r}: {error}") from None
    if not callable(probe):
        raise ValueError(f"must be {_FORMS}, got {text!r}: it cannot be called")
    found: Probe = probe
    return found
