"""Heterogeneous devices in virtual time, for any Flower strategy."""

from .clock import HorizonReached, VirtualClock
from .devices import (
    DeviceSpec,
    Fleet,
    LinkSpec,
    build_fleet,
    exponential,
    heavy_tail,
    log_normal,
    speed_classes,
)
from .faults import NO_FAULTS, Fault, FaultPlan, ServerKilled, combine_faults, random_faults
from .grid import VirtualGrid
from .in_process import InProcessGrid
from .job import SimulationMismatch
from .ledger import LedgerRow, RunLedger
from .measured import phones, relative_speeds, wifi_links
from .presence import Presence, Schedule, daily_windows
from .service import ServiceSpec
from .simulated_device import SimulatedDevice, simulated_device
from .traces import fedscale_links, fedscale_step_times_s, flash_links, flash_presences

__all__ = [
    "NO_FAULTS",
    "DeviceSpec",
    "Fault",
    "FaultPlan",
    "Fleet",
    "HorizonReached",
    "InProcessGrid",
    "LedgerRow",
    "LinkSpec",
    "Presence",
    "RunLedger",
    "Schedule",
    "ServerKilled",
    "ServiceSpec",
    "SimulatedDevice",
    "SimulationMismatch",
    "VirtualClock",
    "VirtualGrid",
    "build_fleet",
    "combine_faults",
    "daily_windows",
    "exponential",
    "fedscale_links",
    "fedscale_step_times_s",
    "flash_links",
    "flash_presences",
    "heavy_tail",
    "log_normal",
    "phones",
    "random_faults",
    "relative_speeds",
    "simulated_device",
    "speed_classes",
    "wifi_links",
]
