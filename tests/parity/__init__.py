"""SWARM beside us: an opt-in suite for an environment that holds both packages (see docs/parity.md)."""
