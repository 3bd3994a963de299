"""What the tests of the device side share."""

import platform
import struct
import sys

import pytest


@pytest.fixture
def has_slices() -> bool:
    """Whether this is a kernel, and a machine, on which time slices can be set."""
    major, minor = (int(part.split("-")[0]) for part in platform.release().split(".")[:2])
    known = platform.machine() in ("x86_64", "aarch64") and struct.calcsize("P") == 8
    return sys.platform.startswith("linux") and known and (major, minor) >= (6, 12)
