"""Device side: profiling, plan, gate and telemetry around a user's training loop."""

from .device import LocalDevice
from .mod import DeepEdgeMod
from .session import local_steps, micro_batches

__all__ = ["DeepEdgeMod", "LocalDevice", "local_steps", "micro_batches"]
