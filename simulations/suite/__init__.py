"""Strategies compared over tasks x fleets x seeds, with targets that are fixed before the runs."""
