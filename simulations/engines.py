"""Where the clients of a simulation run. `run_simulation` is deprecated in Flower: only here."""

import os
import warnings
from collections.abc import Callable

from flwr.app import Context
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from deepedge_flwr.simulation import InProcessGrid

ServerMain = Callable[[Grid], None]


def run_in_process(server_main: ServerMain, client_app: ClientApp, num_nodes: int) -> None:
    """Run a server against clients in this process."""
    server_main(InProcessGrid(client_app, num_nodes))


def run_on_ray(
    server_main: ServerMain, client_app: ClientApp, num_nodes: int, num_cpus_per_client: int = 1
) -> None:
    """Run a server against clients in Flower's simulation engine.

    Parameters
    ----------
    server_main : ServerMain
        Called with the engine's grid, in a thread of this process.
    client_app : ClientApp
        Pickled to worker processes.
    num_nodes : int
        Number of nodes.
    num_cpus_per_client : int (default: 1)
        CPUs a client occupies: it bounds how many run at a time.
    """
    from flwr.simulation import run_simulation

    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, _context: Context) -> None:
        server_main(grid)

    # Ray appends to PYTHONPATH at every start; a long sweep would overflow the environment.
    python_path = os.environ.get("PYTHONPATH")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run_simulation(
                server_app,
                client_app,
                num_nodes,
                backend_config={
                    "client_resources": {"num_cpus": num_cpus_per_client, "num_gpus": 0.0},
                    "init_args": {"include_dashboard": False, "log_to_driver": False},
                },
            )
    finally:
        if python_path is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = python_path
