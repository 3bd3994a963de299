"""Time slices: what Linux says of a thread afterwards, in processes of their own."""

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

from deepedge_flwr.client.time_slice import lengthen_time_slice

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has time slices")

REPORT = """
import json, os, threading
from deepedge_flwr.client.time_slice import lengthen_time_slice, time_slice_s

this, before = threading.get_native_id(), os.nice(0)
lengthen_time_slice(this, 0.02)
lengthen_time_slice(this, 0.004)  # never shorter
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
go_on = threading.Event()
later = threading.Thread(target=go_on.wait, daemon=True)
later.start()
print(json.dumps([time_slice_s(this), time_slice_s(later.native_id), os.nice(0) - before]))
"""


def run(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


@linux
def test_a_thread_and_those_that_it_starts_have_it_and_keep_it_in_the_idle_class(
    has_slices: bool,
) -> None:
    if not has_slices:
        pytest.skip("this kernel has no time slices to set")
    assert run(REPORT) == [0.02, 0.02, 0]


@linux
def test_a_thread_that_has_ended_is_not_found() -> None:
    with pytest.raises(ProcessLookupError):
        lengthen_time_slice(2**22 + 1, 0.004)  # beyond the largest id there is


@linux
def test_a_thread_of_the_idle_class_says_that_it_cannot(has_slices: bool) -> None:
    if not has_slices:
        pytest.skip("this kernel has no time slices to set")
    code = "import json, os\nfrom deepedge_flwr.client.time_slice import lengthen_time_slice\n"
    code += "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
    code += "try:\n    lengthen_time_slice(os.getpid(), 0.05)\n"
    code += "except OSError as error:\n    print(json.dumps(str(error)))\n"
    assert "needs Linux 6.12 or newer" in run(code)


def test_an_unknown_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    with pytest.raises(OSError, match=r"not known how on \w+, pdp11"):
        lengthen_time_slice(os.getpid(), 0.004)
