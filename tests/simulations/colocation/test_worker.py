"""A measurement in a session of its own ends with who wanted it."""

import signal
import subprocess
import sys
from math import hypot

import psutil
import pytest

from simulations.colocation.worker import in_own_session

SLEEPING = (
    "import signal, sys, time\n"
    "from simulations.colocation.worker import in_own_session\n"
    "if __name__ == '__main__':\n"
    "    try:\n"
    "        in_own_session(time.sleep, 600)\n"
    "    except KeyboardInterrupt:\n"
    "        sys.exit(130)\n"
)


def test_a_result_and_an_error_come_back() -> None:
    assert in_own_session(hypot, 3.0, 4.0) == 5.0
    with pytest.raises(ValueError, match="invalid literal"):
        in_own_session(int, "five")


def test_an_interruption_ends_what_is_measured() -> None:
    asked = subprocess.Popen([sys.executable, "-c", SLEEPING])
    process, measuring = psutil.Process(asked.pid), list[psutil.Process]()
    while not measuring and asked.poll() is None:
        measuring = [c for c in process.children() if "spawn_main" in " ".join(c.cmdline())]
    asked.send_signal(signal.SIGINT)
    assert asked.wait(60) == 130
    assert not psutil.wait_procs(measuring, timeout=10)[1]


def test_a_worker_that_nobody_listens_to_ends_without_a_word() -> None:
    code = "from simulations.colocation.worker import say; input(); say('done')"
    worker = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert worker.stdout is not None
    worker.stdout.close()
    _, complaint = worker.communicate("go on\n", timeout=60)
    assert (worker.returncode, complaint) == (1, "")
