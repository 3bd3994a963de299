"""A process that trains steps back, with all its threads; tried in processes of their own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deepedge_flwr.client import between_ticks

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has these classes")

REPORT = """
import json, os, threading
from pathlib import Path
import numpy as np
from deepedge_flwr.client.isolation import isolate

np.ones((500, 500)) @ np.ones((500, 500))  # starts the threads of BLAS
go_on = threading.Event()
before = threading.Thread(target=go_on.wait)
before.start()
found = isolate()
after = threading.Thread(target=go_on.wait)
after.start()
flower = os.sched_getscheduler(before.native_id)
classes = [os.sched_getscheduler(int(t)) for t in os.listdir("/proc/self/task")
           if int(t) != before.native_id]
go_on.set()
group = Path("/proc/self/autogroup")
print(json.dumps({"classes": classes, "flower": flower,
                  "applied": found.applied, "refused": found.refused,
                  "group": group.read_text() if group.exists() else ""}))
"""


def run(code: str, *arguments: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
        start_new_session=True,  # its autogroup is not that of the tests
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


@linux
def test_threads_that_compute_are_idle_those_that_come_later_too() -> None:
    found = run(REPORT)
    assert len(found["classes"]) >= 2
    assert set(found["classes"]) == {os.SCHED_IDLE}
    assert "SCHED_IDLE for threads that compute" in found["applied"]


@linux
def test_the_kernel_chooses_again_between_ticks_where_there_is_something_to_gain() -> None:
    found = run(REPORT)
    refused = [reason for reason in found["refused"] if reason.startswith("preemption between")]
    if (tick_s := time.clock_getres(between_ticks._COARSE)) <= 0.001:
        reason = f"not needed: a tick every {1000 * tick_s:.2g} ms, wanted every 1"
        assert refused == [f"preemption between ticks ([Errno 95] {reason})"]
    else:
        assert "preemption between ticks" in found["applied"]


SHARED = """
import json, os, subprocess, sys
from pathlib import Path

def group(pid):
    path = Path(f"/proc/{pid}/autogroup")
    return path.read_text().strip().rpartition(" ")[2] if path.exists() else ""

if sys.argv[1] == "isolate":
    from deepedge_flwr.client.isolation import isolate

    found = isolate()
    print(json.dumps([found.applied, found.refused, os.getsid(0) == os.getpid(), group("self")]))
    sys.exit()
other = subprocess.Popen(["sleep", "600"])
try:
    done = subprocess.run([sys.executable, "-c", sys.orig_argv[2], "isolate"], check=True,
                          text=True, capture_output=True, **json.loads(sys.argv[1]))
    kept = [os.getsid(other.pid) == os.getsid(0), group(other.pid)]
finally:
    other.kill()
print(json.dumps([*json.loads(done.stdout), *kept]))
"""
autogroup = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroup"
)


@autogroup
def test_it_leaves_a_session_that_others_share_and_these_do_not_step_back() -> None:
    """As Flower starts it: a child of the SuperNode, beside which a shell started a service."""
    applied, refused, leads, niceness, other_stays, other_niceness = run(SHARED, "{}")
    assert leads and other_stays
    assert (niceness, other_niceness) == ("19", "0")
    assert "a session of its own with autogroup niceness 19" in applied
    assert "preemption between ticks" in applied or "not needed" in refused[0]


@autogroup
def test_who_leads_a_group_of_processes_stays_and_nobody_in_its_session_steps_back() -> None:
    applied, refused, leads, niceness, _, other_niceness = run(SHARED, '{"process_group": 0}')
    assert not leads and (niceness, other_niceness) == ("0", "0")
    assert "SCHED_IDLE for threads that compute" in applied
    assert refused == [
        "a session of its own with autogroup niceness 19 ([Errno 1] it leads a group of processes "
        "and cannot leave its session: start with setsid)",
        "preemption between ticks ([Errno 16] not in a session of its own, which a service may "
        "share)",
    ]


@linux
def test_threads_that_were_there_before_such_as_flower_s_heartbeat_are_not() -> None:
    assert run(REPORT)["flower"] == os.SCHED_OTHER


@linux
def test_its_session_steps_behind_other_sessions() -> None:
    found = run(REPORT)
    if not found["group"]:
        pytest.skip("this kernel has no autogroup")
    assert found["group"].strip().endswith("nice 19")
    assert "a session of its own with autogroup niceness 19" in found["applied"]


@linux
def test_what_is_refused_is_told_and_the_rest_applied() -> None:
    code = "import os\ndef refuse(*_):\n    raise PermissionError('not here')\n"
    code += "os.sched_setscheduler = refuse\n" + REPORT
    found = run(code)
    assert "SCHED_IDLE for threads that compute (not here)" in found["refused"]
    assert "idle I/O class" in found["applied"]


def test_other_systems_have_a_lowest_priority() -> None:
    code = "import json, psutil, sys\nfrom deepedge_flwr.client.isolation import isolate\n"
    code += "sys.platform = 'other'\nfound = isolate()\n"
    code += "print(json.dumps([found.applied, psutil.Process().nice()]))\n"
    assert run(code) == [["lowest priority"], 19]


def test_a_part_of_it_can_be_had_alone() -> None:
    code = "import json, os\nfrom deepedge_flwr.client.isolation import IDLE_IO, isolate\n"
    code += "found = isolate([IDLE_IO])\n"
    code += "print(json.dumps([found.applied, os.sched_getscheduler(0)]))\n"
    if sys.platform.startswith("linux"):
        assert run(code) == [["idle I/O class"], os.SCHED_OTHER]


MOD = """
import json, os, sys
sys.argv = ["/bin/{command}"]
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from deepedge_flwr import DeepEdgeMod
from deepedge_flwr.simulation import InProcessGrid

InProcessGrid(ClientApp(), 1)
content = RecordDict({{"arrays": ArrayRecord({{"w": Array(np.zeros(1))}})}})
context = Context(1, 1, {config}, RecordDict(), {{}})
DeepEdgeMod()(Message(content, 1, "{kind}"), context, lambda m, c: Message(m.content, reply_to=m))
print(json.dumps(os.sched_getscheduler(0) == os.SCHED_IDLE))
"""


@linux
@pytest.mark.parametrize(
    ("command", "config", "kind", "is_isolated"),
    [
        ("flwr-clientapp", {}, "train", True),
        ("flwr-clientapp", {}, "evaluate", True),
        ("flwr-clientapp", {"isolation": "off"}, "evaluate", False),
        ("python", {}, "evaluate", False),
        ("flwr-clientapp", {"isolation": "off"}, "train", False),
        ("python", {}, "train", False),
        ("python", {"isolation": "on"}, "train", True),
    ],
)
def test_it_is_for_client_processes_unless_the_owner_says_otherwise(
    command: str, config: dict[str, str], kind: str, is_isolated: bool
) -> None:
    assert run(MOD.format(command=command, config=config, kind=kind)) is is_isolated
