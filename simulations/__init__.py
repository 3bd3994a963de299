"""Simulated experiments with deepedge_flwr: tasks, fleets, runs and their report."""
