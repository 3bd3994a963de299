"""Real processes on this machine: a latency-critical service, and training beside it."""
