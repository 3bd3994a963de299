"""Probes that watch from a process of their own: what they see, and how they fail."""

import http.server
import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from deepedge_flwr.client.probes import (
    HttpProbe,
    SampledProbe,
    SocketProbe,
    WakeUpProbe,
    sampled,
)
from deepedge_flwr.core.device import ProbeFailed

PATIENCE_S = 30.0


def until(found: Callable[[], Sequence[float]], count: int) -> list[float]:
    """Look until so many latencies were seen."""
    seen: list[float] = []
    give_up_at_s = time.monotonic() + PATIENCE_S
    while len(seen) < count:
        assert time.monotonic() < give_up_at_s, f"only {seen}"
        seen += found()
        time.sleep(0.005)
    return seen


def until_failure(probe: SampledProbe) -> str:
    """Look until the probe fails."""
    give_up_at_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at_s:
        try:
            probe()
        except ProbeFailed as failure:
            return str(failure)
        time.sleep(0.005)
    raise AssertionError("the probe did not fail")


class Service(http.server.BaseHTTPRequestHandler):
    """Answers with the statuses that its path names, in turn."""

    protocol_version = "HTTP/1.1"
    requests = itertools.count()

    def do_GET(self) -> None:
        statuses = self.path.strip("/?x=1").split(",")
        self.send_response(int(statuses[next(self.requests) % len(statuses)]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    found.daemon_threads = True
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def probe() -> Iterator[Callable[[SampledProbe], SampledProbe]]:
    """Close what was opened."""
    opened: list[SampledProbe] = []

    def opening(probe: SampledProbe) -> SampledProbe:
        opened.append(probe)
        return probe

    yield opening
    for one in opened:
        one.close()


Opening = Callable[[SampledProbe], SampledProbe]


def watcher() -> psutil.Process:
    """The process that a probe has started."""
    children = psutil.Process().children()
    (found,) = [child for child in children if "sampler.py" in " ".join(child.cmdline())]
    return found


def url(server: http.server.ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def test_http_requests_are_timed(server: http.server.ThreadingHTTPServer, probe: Opening) -> None:
    seen = until(probe(HttpProbe(url(server, "200?x=1"), interval_s=0.001)), 5)
    assert all(0 < latency_s < PATIENCE_S for latency_s in seen)


def test_a_service_that_answers_with_errors_is_dead(
    server: http.server.ThreadingHTTPServer, probe: Opening
) -> None:
    address = url(server, "503")
    reason = until_failure(probe(HttpProbe(address, interval_s=0.001)))
    assert reason == f"{address} has failed 3 times in a row: HTTP status 503"


def test_a_request_that_fails_counts_as_one_of_the_timeout(
    server: http.server.ThreadingHTTPServer, probe: Opening
) -> None:
    address = url(server, "503,503,200")
    seen = until(probe(HttpProbe(address, interval_s=0.001, timeout_s=PATIENCE_S)), 30)
    assert seen[:30].count(PATIENCE_S) == 20


def test_so_is_one_that_nobody_can_reach(probe: Opening) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        reason = until_failure(probe(HttpProbe(address, interval_s=0.001)))
    assert "has failed 3 times in a row" in reason and "refused" in reason


def test_a_request_without_an_answer_took_the_timeout_at_least(probe: Opening) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        hung = probe(HttpProbe(address, interval_s=0.001, timeout_s=0.05))
        assert until(hung, 1)[0] == 0.05
        assert "no answer within 0.05 s" in until_failure(hung)


def push(path: Path, text: str) -> None:
    """Do as a service does, once somebody listens."""
    give_up_at_s = time.monotonic() + PATIENCE_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        while True:
            try:
                service.sendto(text.encode(), str(path))
                return
            except OSError:
                assert time.monotonic() < give_up_at_s
                time.sleep(0.005)


def test_a_socket_takes_one_or_more_lines_per_datagram(tmp_path: Path, probe: Opening) -> None:
    path = tmp_path / "service.sock"
    pushed = probe(SocketProbe(str(path)))
    assert list(pushed()) == []
    push(path, "0.25\n")
    push(path, "0.5\n0.125\n")
    assert until(pushed, 3) == [0.25, 0.5, 0.125]


def test_what_is_no_number_is_a_failure(tmp_path: Path, probe: Opening) -> None:
    path = tmp_path / "service.sock"
    pushed = probe(SocketProbe(str(path)))
    pushed()
    push(path, "fast\n")
    assert until_failure(pushed) == "not a latency in seconds: 'fast'"


def test_the_socket_goes_with_the_probe_and_a_left_one_is_taken_over(
    tmp_path: Path, probe: Opening
) -> None:
    path = tmp_path / "service.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))
    assert path.exists()
    pushed = probe(SocketProbe(str(path)))
    pushed()
    push(path, "0.25")
    assert until(pushed, 1) == [0.25]
    pushed.close()
    assert not path.exists()


def test_a_socket_that_another_listens_on_is_left_alone(tmp_path: Path, probe: Opening) -> None:
    path = tmp_path / "service.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        reason = until_failure(probe(SocketProbe(str(path))))
    assert reason == f"{path}: another process listens on it"


def test_a_probe_that_is_refused_leaves_the_other_s_socket(tmp_path: Path, probe: Opening) -> None:
    path = tmp_path / "service.sock"
    first = probe(SocketProbe(str(path)))
    first()
    push(path, "0.25")
    assert "another process listens" in until_failure(probe(SocketProbe(str(path))))
    push(path, "0.5")
    assert until(first, 2) == [0.25, 0.5]


def test_a_socket_whose_owner_is_about_to_go_is_waited_for(tmp_path: Path, probe: Opening) -> None:
    path = tmp_path / "service.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        pushed = probe(SocketProbe(str(path)))
        pushed()
        time.sleep(0.5)
    push(path, "0.25")
    assert until(pushed, 1) == [0.25]


def test_a_file_is_left_alone(tmp_path: Path, probe: Opening) -> None:
    path = tmp_path / "service.sock"
    path.write_text("precious")
    reason = until_failure(probe(SocketProbe(str(path))))
    assert reason == f"{path}: is there already, and is no socket"
    assert path.read_text() == "precious"


def test_a_stream_socket_is_left_alone(tmp_path: Path, probe: Opening) -> None:
    path = str(tmp_path / "service.sock")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        reason = until_failure(probe(SocketProbe(path)))
        assert reason == f"{path}: another process listens on it, for streams"
        client.connect(path)


def test_what_has_taken_the_place_of_our_socket_is_left_alone(
    tmp_path: Path, probe: Opening
) -> None:
    path = tmp_path / "service.sock"
    pushed = probe(SocketProbe(str(path)))
    pushed()
    push(path, "0.25")
    path.rename(tmp_path / "ours")
    path.write_text("precious")
    pushed.close()
    assert path.read_text() == "precious"


def test_a_service_never_waits_while_nobody_looks(tmp_path: Path, probe: Opening) -> None:
    path = tmp_path / "service.sock"
    pushed = probe(SocketProbe(str(path)))
    pushed()
    push(path, "1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.settimeout(PATIENCE_S)
        for k in range(2, 20_001):  # more than the pipe holds
            service.sendto(f"{k}\n".encode(), str(path))
    assert until(pushed, 20_000) == list(range(1, 20_001))


def test_a_watcher_that_does_not_obey_is_killed(
    probe: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled, "_PATIENCE_S", 0.1)
    watched = probe(WakeUpProbe(0.001))
    until(watched, 1)
    stopped = watcher()
    stopped.send_signal(signal.SIGSTOP)
    watched.close()
    assert not stopped.is_running()


def test_a_system_without_such_pipes_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "_IS_POSIX", False)
    with pytest.raises(ProbeFailed, match="needs a POSIX system"):
        WakeUpProbe()()


def test_wake_ups_are_late_by_something(probe: Opening) -> None:
    assert all(delay_s > 0 for delay_s in until(probe(WakeUpProbe(0.001)), 10))


def test_a_watcher_that_is_killed_is_a_failure(probe: Opening) -> None:
    watched = probe(WakeUpProbe(0.001))
    until(watched, 1)
    watcher().kill()
    assert until_failure(watched) == "the process that watches the service has died"


@pytest.mark.parametrize("kind", ["wake-up", "socket"])
def test_no_watcher_outlives_the_process_that_wanted_to_know(kind: str, tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom deepedge_flwr.client.probes import SampledProbe\n"
        "probe = SampledProbe(*sys.argv[1:])\nprobe.start()\n"
        "print(probe._process.pid, flush=True)\nos._exit(0)"
    )
    argument = "0.001" if kind == "wake-up" else str(tmp_path / "service.sock")
    done = subprocess.run(
        [sys.executable, "-c", code, kind, argument], capture_output=True, text=True, check=True
    )
    pid = int(done.stdout)
    give_up_at_s = time.monotonic() + PATIENCE_S
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie":
        assert time.monotonic() < give_up_at_s
        time.sleep(0.01)
