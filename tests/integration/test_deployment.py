"""Real processes: a SuperLink, SuperNodes, certificates, signals. Loopback only; none is left."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deepedge_flwr.core.checkpoint import CheckpointFolder
from deepedge_flwr.core.clock import WallClock
from simulations.deployment.certificates import Certificates, make_certificates
from simulations.deployment.fleet import LocalDeployment, NodeSetup
from simulations.deployment.metrics import read_rows, wait_for_row, wait_for_version
from simulations.deployment.processes import DeploymentError

PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def certificates(folder: Path) -> Certificates:
    return make_certificates(folder / "certificates", num_nodes=3)


@pytest.fixture(scope="module")
def deployment(folder: Path, certificates: Certificates) -> Iterator[LocalDeployment]:
    """Two nodes with keys; the third one's owner has made a mistake."""
    # Without isolation: other work on a machine that runs tests would stop the training.
    common = {"num-partitions": 2, "isolation": "off"}
    setups = [
        NodeSetup(config={"partition-id": 0, "device-id": "press-1", **common}),
        NodeSetup(config={"partition-id": 1, "device-id": "press-2", **common,
                          "max-threads": 1, "max-duty": 0.9}),
        NodeSetup(config={"partition-id": 1, "train-window": "night", **common}),
    ]  # fmt: skip
    mine = psutil.Process()
    before = set(mine.children(recursive=True))
    with LocalDeployment(folder, setups, certificates=certificates) as running:
        yield running
    assert set(mine.children(recursive=True)) <= before


def rows_of(path: Path, *kinds: str) -> list[dict[str, Any]]:
    return [row for row in read_rows(path) if row["kind"] in kinds]


def test_a_run_is_stopped_by_a_signal_and_goes_on(
    deployment: LocalDeployment, folder: Path
) -> None:
    metrics, state = folder / "metrics.jsonl", folder / "state"
    config = {"min-nodes": 3, "outstanding": 2, "metrics-file": str(metrics),
              "checkpoint-dir": str(state), "checkpoint-every": 1000}  # fmt: skip
    first = deployment.run({**config, "num-server-rounds": 1000})
    # Two of three nodes are asked at a time: nothing says when the turn is the third one's.
    wait_for_row(metrics, "event", PATIENCE_S)
    wait_for_version(metrics, 2, PATIENCE_S)
    app = deployment.server_app()
    assert app is not None
    app.send_signal(signal.SIGTERM)
    assert deployment.wait(first, PATIENCE_S).startswith("finished")
    # The final checkpoint: none was due before.
    saved = CheckpointFolder(state).read()
    assert saved is not None
    version = saved["run"]["version"]
    assert version >= 2
    second = deployment.run({**config, "num-server-rounds": version + 1})
    assert deployment.wait(second, PATIENCE_S) == "finished:completed"
    versions = [row["version"] for row in rows_of(metrics, "version")]
    assert versions == list(range(1, version + 2))

    updates = rows_of(metrics, "update")
    assert {row["device"] for row in updates} == {"press-1", "press-2"}
    # Its duty makes the second device rest between two steps.
    steps = [row for row in updates if row["device"] == "press-2" and row["num-steps"] > 1]
    assert steps and all(row["paused-s"] > 0 for row in steps)
    # Its mistake is an event of the third node, named in the log of the server, and no more.
    assert {row["event"] for row in rows_of(metrics, "event")} == {"failed"}
    log = deployment.flwr("log", str(first), "trial", "--show")
    assert "node config train-window must be ranges of the day like 22:00-06:00" in log


def test_a_node_without_a_key_is_refused(deployment: LocalDeployment) -> None:
    deployment.kill_node(2)
    deployment.start_node(2, authenticated=False)
    clock = WallClock()
    until_s = clock.now_s() + 60
    while (refusal := "All SuperNodes must be registered") not in deployment.log("node-2"):
        assert clock.now_s() < until_s, f"no word of {refusal!r}"
        clock.sleep(0.2)


def test_keys_are_their_owner_s_alone(certificates: Certificates) -> None:
    for path in (certificates.server_key, *certificates.node_keys):
        assert os.stat(path).st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="has certificates already"):
        make_certificates(certificates.authority.parent)


@pytest.mark.ray
def test_the_same_app_runs_in_flower_s_simulation_runtime(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    with LocalDeployment(tmp_path, [], simulated_nodes=3) as running:
        config = {"min-nodes": 3, "num-server-rounds": 4, "outstanding": 2}
        state = str(tmp_path / "state")
        run = running.run({**config, "metrics-file": str(metrics), "checkpoint-dir": state})
        assert running.wait(run, PATIENCE_S) == "finished:completed"
    assert [row["version"] for row in rows_of(metrics, "version")] == [1, 2, 3, 4]
    saved = CheckpointFolder(state).read()
    assert saved is not None and saved["run"]["version"] == 4


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with (
            pytest.raises(DeploymentError, match=f"port {port} is taken: give another one"),
            LocalDeployment(tmp_path, [], port=port),
        ):
            pass
