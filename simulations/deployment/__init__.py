"""Flower's own processes on this machine: a SuperLink, SuperNodes, and apps that run on them."""
