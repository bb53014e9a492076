"""Trainers: one file each, configuration and loop, read from top to bottom. They use swarm_env's public API."""
