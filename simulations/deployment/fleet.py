"""A SuperLink and SuperNodes as real processes on the loopback interface."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from deepedge_flwr.core.clock import WallClock

from .certificates import Certificates
from .processes import (
    DeploymentError,
    command_line,
    executable,
    free_ports,
    kill_family,
    listens,
    terminate_families,
)

APP = Path(__file__).parents[1] / "flower_app"
_NAME = "trial"  # of the SuperLink in Flower's configuration
_START_S = 60.0
_SERVER = re.compile("flwr-(serverapp|simulation)")

Config = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSetup:
    """How one SuperNode is started.

    Attributes
    ----------
    config : Config
        Its `--node-config`.
    niceness : int (default: 0)
        Its priority.
    """

    config: Config = field(default_factory=dict)
    niceness: int = 0


class LocalDeployment:
    """Start Flower's processes, run apps on them, and leave none behind.

    Parameters
    ----------
    folder : Path
        For logs (`superlink.log`, `node-I.log`), Flower's own files and the runs' states.
    nodes : Sequence[NodeSetup]
        The SuperNodes.
    certificates : Certificates | None (default: None)
        Turns TLS and node authentication on.
    port : int | None (default: None)
        The SuperLink's port; None takes a free one.
    simulated_nodes : int (default: 0)
        Nodes of Flower's simulation runtime; then there are no others.

    Raises
    ------
    DeploymentError
        If a process cannot be started.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Sequence[NodeSetup],
        *,
        certificates: Certificates | None = None,
        port: int | None = None,
        simulated_nodes: int = 0,
    ) -> None:
        self._simulated_nodes = simulated_nodes
        self.folder, self._setups, self._certificates = folder.resolve(), nodes, certificates
        self._clock = WallClock()
        free, *self._node_ports = free_ports(1 + len(nodes))
        self.port = free if port is None else port
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def __enter__(self) -> "LocalDeployment":
        """Start the SuperLink and the SuperNodes."""
        home = self.folder / "flower"
        home.mkdir(parents=True, exist_ok=True)
        security = (
            "insecure = true"
            if self._certificates is None
            else f'root-certificates = "{self._certificates.authority.resolve()}"'
        )
        text = f'[superlink]\ndefault = "{_NAME}"\n\n[superlink.{_NAME}]\n'
        text += f'address = "127.0.0.1:{self.port}"\n{security}\n'
        (home / "config.toml").write_text(text, encoding="utf-8")
        try:
            self._start_superlink()
            for index in range(len(self._setups)):
                self.start_node(index)
            for index, taken in enumerate(self._node_ports):
                self._wait_for(f"node-{index}", taken)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.close()

    def _start_superlink(self) -> None:
        arguments = ["--port", str(self.port), "--disable-runtime-dependency-installation"]
        if (made := self._certificates) is None:
            arguments.append("--insecure")
        else:
            arguments += ["--ssl-ca-certfile", str(made.authority), "--ssl-certfile",
                          str(made.server), "--ssl-keyfile", str(made.server_key),
                          "--enable-supernode-auth"]  # fmt: skip
        if self._simulated_nodes:
            arguments.append("--simulation")
        if listens(self.port):
            raise DeploymentError(f"port {self.port} is taken: give another one, or none")
        self._start("superlink", ["flower-superlink", *arguments])
        self._wait_for("superlink", self.port)
        for key in made.node_keys if made is not None else ():
            self.flwr("supernode", "register", f"{key}.pub", _NAME)

    def start_node(self, index: int, *, authenticated: bool = True) -> None:
        """Start a SuperNode, again if it had been killed; without its key if so wished."""
        setup, made = self._setups[index], self._certificates
        own_port = str(self._node_ports[index])
        arguments = ["--superlink", f"127.0.0.1:{self.port}", "--port", own_port,
                     "--node-config", _toml(setup.config)]  # fmt: skip
        if made is None:
            arguments.append("--insecure")
        else:
            arguments += ["--root-certificates", str(made.authority)]
            if authenticated:
                arguments += ["--auth-supernode-private-key", str(made.node_keys[index])]
        command = ["flower-supernode", *arguments]
        if setup.niceness:
            command = ["nice", "-n", str(setup.niceness), *command]
        self._start(f"node-{index}", command)

    def run(self, config: Config, app: Path = APP) -> int:
        """Start a run of an app and return its id."""
        arguments = ["run", str(app), _NAME, "--format", "json", "--run-config", _toml(config)]
        if count := self._simulated_nodes:
            arguments += ["--federation-config",
                          f"num-supernodes={count} client-resources-num-cpus=1"]  # fmt: skip
        done = self.flwr(*arguments)
        return int(json.loads(done[done.index("{") :])["run-id"])

    def status(self, run_id: int) -> str:
        """Return Flower's word for how a run is doing, `finished:completed` for instance."""
        done = self.flwr("list", _NAME, "--run-id", str(run_id), "--format", "json")
        (run,) = json.loads(done[done.index("{") :])["runs"]
        return str(run["status"])

    def wait(self, run_id: int, timeout_s: float) -> str:
        """Wait for a run to end and return its status."""
        until_s, status = self._clock.now_s() + timeout_s, "not asked for"
        while self._clock.now_s() < until_s:
            # Flower's command line takes a second of CPU time, which the nodes would lack.
            if self.server_app() is None:
                status = self.status(run_id)
                if status.startswith("finished"):
                    return status
            self._clock.sleep(0.5)
        raise DeploymentError(f"run {run_id} has not ended after {timeout_s:.0f} s: {status}")

    def flwr(self, *arguments: str) -> str:
        """Run Flower's command line and return what it prints."""
        done = subprocess.run([executable("flwr"), *arguments], env=self._environment(),
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode:
            raise DeploymentError(f"flwr {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def kill_node(self, index: int) -> None:
        """Pull the plug of a node: SIGKILL to it and to everything that it has started."""
        process = self._processes[f"node-{index}"]
        kill_family(process.pid)
        process.wait()

    def server_app(self) -> psutil.Process | None:
        """Return the process of the ServerApp that runs now, if any."""
        link = psutil.Process(self._processes["superlink"].pid)
        found = [p for p in link.children(recursive=True) if _SERVER.search(command_line(p))]
        return found[0] if found else None

    def log(self, name: str) -> str:
        """Return what a process has printed: `superlink`, or `node-0`."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Stop every process that was started, and what these have started."""
        terminate_families(process.pid for process in self._processes.values())
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        for file in self._logs:
            file.close()
        self._logs.clear()

    def _start(self, name: str, command: Sequence[str]) -> None:
        file = (self.folder / f"{name}.log").open("ab")
        self._logs.append(file)
        first = command[0] if command[0] == "nice" else executable(command[0])
        self._processes[name] = subprocess.Popen(
            [first, *command[1:]],
            env=self._environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_for(self, name: str, port: int) -> None:
        """Wait until a process listens on its port."""
        until_s = self._clock.now_s() + _START_S
        while not listens(port):
            if self._processes[name].poll() is not None:
                last = self.log(name).strip().splitlines()[-8:]
                raise DeploymentError(f"the {name} has ended:\n" + "\n".join(last))
            if self._clock.now_s() > until_s:
                raise DeploymentError(f"no {name} on port {port} after {_START_S:.0f} s")
            self._clock.sleep(0.2)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "FLWR_HOME": str(self.folder / "flower"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }


def _toml(config: Config) -> str:
    return " ".join(f"{key}={json.dumps(value)}" for key, value in config.items())
