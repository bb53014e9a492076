"""swarm_env: governance markets for multi-agent alignment research.

SWARM-style YAML scenarios compile into PettingZoo environments. The names below are the public, stable API; they
load on first use, so that ``import swarm_env`` costs nothing and Numba and PettingZoo come only when they are needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: Public name -> (module, attribute); None: the module itself.
_PUBLIC: dict[str, tuple[str, str | None]] = {
    "load_scenario": ("swarm_env.catalog", "load_scenario"),
    "Scenario": ("swarm_env.scenario", "Scenario"),
    "ScenarioError": ("swarm_env.scenario", "ScenarioError"),
    "parallel_env": ("swarm_env.market_v1", "parallel_env"),
    "env": ("swarm_env.market_v1", "env"),
    "raw_env": ("swarm_env.market_v1", "raw_env"),
    "vector_env": ("swarm_env.batch", "vector_env"),
    "run": ("swarm_env.simulate", "run"),
    "evaluate": ("swarm_env.evaluation", "evaluate"),
    "proxy": ("swarm_env.core.proxy", None),
    "payoff": ("swarm_env.core.payoff", None),
    "Payoff": ("swarm_env.core.payoff", "Payoff"),
    "metrics": ("swarm_env.metrics", None),
    "testing": ("swarm_env.testing", None),
    "State": ("swarm_env.core.types", "State"),
    "LEVERS": ("swarm_env.core.governance", "LEVERS"),
    "ARCHETYPES": ("swarm_env.core.archetypes", "ARCHETYPES"),
    "METRICS": ("swarm_env.metrics", "METRICS"),
    "FEATURES": ("swarm_env.core.features", "FEATURES"),
    "AS_SCRIPTED": ("swarm_env.core.types", "AS_SCRIPTED"),
}
__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from swarm_env import metrics as metrics
    from swarm_env import testing as testing
    from swarm_env.batch import vector_env as vector_env
    from swarm_env.catalog import load_scenario as load_scenario
    from swarm_env.core import payoff as payoff
    from swarm_env.core import proxy as proxy
    from swarm_env.core.archetypes import ARCHETYPES as ARCHETYPES
    from swarm_env.core.features import FEATURES as FEATURES
    from swarm_env.core.governance import LEVERS as LEVERS
    from swarm_env.core.payoff import Payoff as Payoff
    from swarm_env.core.types import AS_SCRIPTED as AS_SCRIPTED
    from swarm_env.core.types import State as State
    from swarm_env.evaluation import evaluate as evaluate
    from swarm_env.market_v1 import env as env
    from swarm_env.market_v1 import parallel_env as parallel_env
    from swarm_env.market_v1 import raw_env as raw_env
    from swarm_env.metrics import METRICS as METRICS
    from swarm_env.scenario import Scenario as Scenario
    from swarm_env.scenario import ScenarioError as ScenarioError
    from swarm_env.simulate import run as run


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'swarm_env' has no attribute {name!r}")
    module_name, attribute = _PUBLIC[name]
    module = import_module(module_name)
    value = module if attribute is None else getattr(module, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
