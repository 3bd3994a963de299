"""A measurement in a session of its own ends with who wanted it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from math import hypot
from pathlib import Path

import psutil
import pytest

from deepedge_flwr.core.clock import WallClock
from simulations.colocation.service import Load
from simulations.colocation.worker import Worker, in_own_session
from simulations.deployment.processes import kill_family

SLEEPING = (
    "import sys\n"
    "from subprocess import call\n"
    "from simulations.colocation.worker import in_own_session\n"
    "if __name__ == '__main__':\n"
    "    try:\n"
    "        in_own_session(call, ['sleep', '600'])\n"
    "    except KeyboardInterrupt:\n"
    "        sys.exit(130)\n"
)
ROOT = Path(__file__).parents[3]
RATIONED = """
import json
import time
from dataclasses import asdict

from simulations.colocation.service import Load
from simulations.colocation.worker import Worker, in_own_session


def measure() -> None:
    worker = Worker("service", json.dumps(asdict(Load(period_s=0.01, work_s=0.001))))
    with worker.rationed(period_s=60.0, share=0.9999):
        time.sleep(600)


if __name__ == "__main__":
    in_own_session(measure)
"""


def test_a_result_and_an_error_come_back() -> None:
    assert in_own_session(hypot, 3.0, 4.0) == 5.0
    with pytest.raises(ValueError, match="invalid literal"):
        in_own_session(int, "five")


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_what_is_measured_ends_with_who_wanted_it(how: signal.Signals, status: int) -> None:
    asked = subprocess.Popen([sys.executable, "-c", SLEEPING])
    process, family, clock = psutil.Process(asked.pid), list[psutil.Process](), WallClock()
    until_s = clock.now_s() + 60
    try:
        while not any(child.name() == "sleep" for child in family):
            assert clock.now_s() < until_s and asked.poll() is None
            clock.sleep(0.1)
            family = process.children(recursive=True)
        measuring = [child for child in family if child.name() != "sleep"]
        asked.send_signal(how)
        assert asked.wait(60) == status
        assert not psutil.wait_procs(measuring, timeout=10)[1]
    finally:
        for child in [process, *family]:
            kill_family(child.pid)
        asked.wait()


def test_a_worker_that_is_stopped_ends_with_whoever_is_killed(tmp_path: Path) -> None:
    script, clock = tmp_path / "rationed.py", WallClock()
    script.write_text(RATIONED)
    asked = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    process, family = psutil.Process(asked.pid), list[psutil.Process]()
    until_s = clock.now_s() + 60
    try:
        while not any(child.status() == psutil.STATUS_STOPPED for child in family):
            assert clock.now_s() < until_s and asked.poll() is None
            clock.sleep(0.1)
            family = process.children(recursive=True)
        asked.kill()
        assert asked.wait(60) == -signal.SIGKILL
        assert not psutil.wait_procs(family, timeout=30)[1]
    finally:
        for child in [process, *family]:
            kill_family(child.pid)
        asked.wait()


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


def test_a_worker_is_stopped_for_its_share_of_a_period_and_goes_on_afterwards() -> None:
    worker = Worker("service", json.dumps(asdict(Load(period_s=0.01, work_s=0.001))))
    (process,) = (
        child
        for child in psutil.Process().children()
        if "simulations.colocation.service" in child.cmdline()
    )
    try:
        with worker.rationed(period_s=60.0, share=0.9999):
            clock = WallClock()
            until_s = clock.now_s() + 30
            while process.status() != psutil.STATUS_STOPPED:
                assert clock.now_s() < until_s
                clock.sleep(0.001)
        worker.ask("run 0.05")
        assert len(worker.answer()["latencies_s"]) == 5
    finally:
        worker.close()


@pytest.mark.parametrize("share", [-0.01, 1.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    worker = Worker("service", json.dumps(asdict(Load(period_s=0.01, work_s=0.001))))
    try:
        with (
            pytest.raises(ValueError, match=rf"in \[0, 1\), got {share:.2f}"),
            worker.rationed(period_s=0.01, share=share),
        ):
            pass
    finally:
        worker.close()
