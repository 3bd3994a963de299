"""Claims are commands: `python -m simulations.verify TOPIC` measures every figure we state."""
