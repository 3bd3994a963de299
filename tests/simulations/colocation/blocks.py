"""Blocks as a bench measures them, of a service that is known."""

import numpy as np

from simulations.colocation.bench import Block

RNG = np.random.default_rng(7)
ALONE = 0.002 * np.exp(0.1 * RNG.standard_normal(20_000))
WAITS = np.where(RNG.random(20_000) < 0.2, 0.05, 0.0)


def block(latencies_s: np.ndarray, steps: int = 0) -> Block:
    """Return ten seconds of these latencies; with steps, beside a training that made them."""
    none = list[float]()
    trained = {
        "num_steps": steps,
        "elapsed_s": 10.0,
        "busy_s": 10.0,
        "starts_s": none,
        "ends_s": none,
    }
    return Block(
        latencies_s=latencies_s,
        times_s=10.0 * np.arange(len(latencies_s)) / len(latencies_s),
        wakes_s=np.zeros(0),
        begun_s=0.0,
        duration_s=10.0,
        training_s=10.0,
        cpu_s=1.0,
        queued_s=0.0,
        num_added=1.0,
        stolen_s=0.0,
        trained=trained if steps else {},
    )
