"""Device side: profiling, plan, gate and telemetry around a user's training loop."""

from .device import LocalDevice
from .free_cores import FreeCores
from .mod import DeepEdgeMod
from .session import local_steps, micro_batches

__all__ = ["DeepEdgeMod", "FreeCores", "LocalDevice", "local_steps", "micro_batches"]
