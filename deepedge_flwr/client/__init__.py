"""Device side: profiling, plan, gate and telemetry around a user's training loop."""

from .device import LocalDevice
from .isolation import is_client_process
from .mod import DeepEdgeMod
from .session import local_steps, micro_batches
from .threads import wait_passively

__all__ = ["DeepEdgeMod", "LocalDevice", "local_steps", "micro_batches"]

if is_client_process():
    # Now, or it is too late: the app may import torch next.
    wait_passively()
