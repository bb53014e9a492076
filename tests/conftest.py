"""Before anything runs: one compute thread, and the market's machine code compiled once, not by each worker."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SWARM_WORKERS", "0")  # tests/test_engine*.py ask for workers; elsewhere they only cost time

import pytest
from hypothesis import HealthCheck, settings

# examples are drawn from a fixed seed, so that a run of the suite can be repeated; deadlines fail on a busy machine
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("suite")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile in the controller, so that workers find the cache warm."""
    if not hasattr(session.config, "workerinput"):
        import swarm_env

        swarm_env.run("baseline", out=None)
        env = swarm_env.parallel_env("baseline")
        env.reset(seed=0)
        env.state()
        env.ledger()
