"""What a measurement was taken on: figures without this say nothing."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path

PACKAGES = ("swarm-env", "swarm-safety", "numpy", "numba", "pydantic", "gymnasium", "pettingzoo")
PEERS = ("mpe2", "vmas", "torch", "jax", "jaxmarl", "stable-baselines3", "sb3-contrib", "supersuit", "swarm-safety")


def cpu_model() -> str:
    """The processor by name, or its kind where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> str:
    """Python and the packages that matter, those that are there."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join([f"Python {platform.python_version()}", *found])


def packages() -> dict[str, str | None]:
    """Version of Python, of what we stand on and of every peer; None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in dict.fromkeys((*PACKAGES, *PEERS)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def load() -> str:
    """Load averages over 1, 5 and 15 minutes; a busy machine halves what is measured on it."""
    if not hasattr(os, "getloadavg"):
        return "unknown"
    return ", ".join(f"{value:.2f}" for value in os.getloadavg())


def kind() -> str:
    """The machine in general terms."""
    return f"{os.cpu_count()} {platform.machine().replace('_', '-')} cores"


def describe() -> str:
    """One paragraph for the head of a report."""
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return "\n".join(
        (
            f"date: {when}; {kind()}: {cpu_model()}; {platform.system()}; one thread; load average {load()}",
            f"versions: {versions()}",
        )
    )
