"""Imports run one way, and heavy libraries load only where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "swarm_env"

#: Layer of each module or package under swarm_env, lowest first; a module may import its own layer or lower ones.
LAYERS: list[set[str]] = [
    {"core.compiled", "core.section", "core.addresses"},
    {"core.tables", "core.elementary", "core.eights", "core.picks"},
    {"core.types", "core.random", "core.effect", "core.claims", "core.foremost"},
    {"core.proxy", "core.payoff", "core.sizes", "core.quads", "core.slots"},
    {"core.prefetch"},
    {"core.prefetch_large"},
    {"core.propose", "core.contacts", "core.chains", "core.terms"},
    {"core.extremes", "core.reach"},
    {"core.laundering"},
    {"core.levers", "core.archetypes"},
    {"core.governance"},
    {"core.features", "core.observe"},
    {"core.decide", "core.respond", "core.act", "core.turn"},
    {"core.step"},
    {"core.cuda"},
    {"scenario"},
    {"contact_graph", "catalog"},
    {"compile"},
    {"metrics", "render", "analysis", "spaces", "oversight", "statistics"},
    {"snapshot", "deals", "events", "tally", "criteria", "recording", "crew"},
    {"engine", "episode"},
    {"market_v1", "batch", "simulate"},
    {"adapters"},
    {"testing", "evaluation"},
    {"report", "study", "sweep"},
    {"commands", "cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def place(module: str) -> str | None:
    """The entry of LAYERS that a dotted name under swarm_env belongs to."""
    parts = module.split(".")
    for size in (2, 1):
        name = ".".join(parts[:size])
        if name in LEVEL:
            return name
    return None


def imports(path: Path) -> set[str]:
    """Dotted names under swarm_env that a file imports at any level, type checking aside."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "swarm_env":
            base = node.module.removeprefix("swarm_env").lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                found.add(full if place(full) and place(full) != place(base) else base or alias.name)
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return found


FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.name != "__main__.py" and path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_its_own_layer_or_lower_ones(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    if module in ("core", "adapters"):
        return
    own = place(module)
    assert own is not None, f"{module} has no layer: give it one in LAYERS"
    for name in imports(path):
        if name in ("__version__", "core"):
            continue
        other = place(name)
        assert other is not None, f"{module} imports swarm_env.{name}, which has no layer"
        assert LEVEL[other] <= LEVEL[own], f"{module} imports swarm_env.{name}, from a higher layer"


def test_siblings_do_not_import_each_other() -> None:
    for folder in ("levers", "archetypes"):
        for path in (ROOT / "core" / folder).glob("*.py"):
            if path.name != "__init__.py":
                assert not {n for n in imports(path) if n.startswith(f"core.{folder}")}, path.name


def loaded_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"numba", "numpy", "pettingzoo", "gymnasium", "torch", "matplotlib", "pydantic", "networkx", "rich"}
    assert not heavy & loaded_by("import swarm_env")
    assert not heavy & loaded_by("from swarm_env import cli; cli._parser()")


def test_each_use_loads_what_it_needs() -> None:
    run = loaded_by("import swarm_env; swarm_env.run('baseline', out=None)")
    assert "numba" in run
    assert not {"pettingzoo", "gymnasium", "torch", "matplotlib", "networkx"} & run
    env = loaded_by("import swarm_env; swarm_env.parallel_env('baseline').reset(seed=0)")
    assert "pettingzoo" in env
    assert not {"torch", "matplotlib", "networkx"} & env
    assert "numba" not in loaded_by("import swarm_env.metrics")
