"""Heterogeneous devices in virtual time, for any Flower strategy."""

from .clock import HorizonReached, VirtualClock
from .devices import (
    DeviceSpec,
    Fleet,
    LinkSpec,
    build_fleet,
    heavy_tail,
    log_normal,
    speed_classes,
)
from .grid import VirtualGrid
from .in_process import InProcessGrid
from .job import SimulationMismatch
from .ledger import LedgerRow, RunLedger
from .presence import Presence, Schedule, daily_windows
from .service import ServiceSpec
from .simulated_device import SimulatedDevice, simulated_device

__all__ = [
    "DeviceSpec",
    "Fleet",
    "HorizonReached",
    "InProcessGrid",
    "LedgerRow",
    "LinkSpec",
    "Presence",
    "RunLedger",
    "Schedule",
    "ServiceSpec",
    "SimulatedDevice",
    "SimulationMismatch",
    "VirtualClock",
    "VirtualGrid",
    "build_fleet",
    "daily_windows",
    "heavy_tail",
    "log_normal",
    "simulated_device",
    "speed_classes",
]
