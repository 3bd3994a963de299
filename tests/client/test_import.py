"""A client process is started for every message: what it imports is paid for every time."""

import subprocess
import sys

import pytest

import deepedge_flwr

SERVER_ONLY = ("deepedge_flwr.strategy", "flwr.superlink", "sqlalchemy")


@pytest.mark.parametrize(
    "module", ["deepedge_flwr", "simulations.flower_app.deepedge_app.client_app"]
)
def test_a_client_does_not_import_the_server_s_half(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert module in loaded
    assert not [name for name in loaded if name in SERVER_ONLY]


def test_every_public_name_is_there() -> None:
    assert all(hasattr(deepedge_flwr, name) for name in deepedge_flwr.__all__)
    with pytest.raises(AttributeError, match="'deepedge_flwr' has no attribute 'Nothing'"):
        _ = deepedge_flwr.Nothing
