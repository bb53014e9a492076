"""Where the time of a step goes: kernels that stop after the first phase, the second, ... of `core.step.advance_row`.

They are cut from its source, so that they follow it: every call that stands alone in its body ends a phase. At several
moments of an episode each of them plays from fresh copies of the same state; a phase costs what its kernel takes more
than the one before, and with that what it is the first to fetch. The first one plays nothing: it is the call itself.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
from numba import njit

from benchmarks.market_runs import legal
from benchmarks.populations import scenario
from benchmarks.sample import Facts, Sample, Stopwatch
from swarm_env.compile import compile_scenario
from swarm_env.core import compiled as compiling
from swarm_env.core import step

ROW = "_advance_row"  #: what `step.advance` calls for a row
CALL = "(the call)"
MOMENTS = range(3, 213, 19)  #: steps at which all of them play: of an epoch of 12 every step once


def prefixes() -> Iterator[tuple[str, Any]]:
    """(name of the last phase it plays, kernel as `step.advance`), shortest first: `CALL` plays none."""
    source = textwrap.dedent(inspect.getsource(_function(step.advance_row)))
    tree = ast.parse(source)
    body = tree.body[0].body  # type: ignore[attr-defined]
    calls = [k for k, node in enumerate(body) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    kernel = ast.parse(textwrap.dedent(inspect.getsource(_function(step.advance))))
    if len(calls) < 2 or f"{ROW}(" not in ast.unparse(kernel):
        raise RuntimeError("core.step.advance is no longer rows of phases; cut its prefixes another way")
    for module in (tree, kernel):
        module.body[0].decorator_list = []  # type: ignore[attr-defined]
    for end in [calls[0] - 1, *calls[:-1]]:
        part = copy.deepcopy(tree)
        part.body[0].body = body[: end + 1]  # type: ignore[attr-defined]
        space = dict(vars(step))
        exec(compile(part, "<prefix>", "exec"), space)
        space[ROW] = compiling.rule(space["advance_row"])
        exec(compile(kernel, "<prefix>", "exec"), space)
        name = ast.unparse(body[end].value.func) if end in calls else CALL
        yield name, njit(error_model="numpy", _nrt=False)(space["advance"])
    yield ast.unparse(body[calls[-1]].value.func), step.advance


def _function(compiled: Any) -> Any:
    return getattr(compiled, "py_func", compiled)


def phases(seconds: float, rows: int, agents: int) -> tuple[Callable[[], Sample], Facts]:
    """Every prefix at every moment; counts agent-steps of whole steps, its parts are the prefixes."""
    del seconds  # a whole episode
    market = scenario("all", agents)
    compiled = compile_scenario(market, "all")
    kernels = dict(prefixes())
    state, view = compiled.allocate(rows, infos=False)
    actions = np.zeros((rows, agents, len(compiled.nvec)), dtype=np.int64)

    def play() -> Sample:
        compiled.reset(state, view, 0, rows)
        watches = {name: Stopwatch() for name in kernels}
        for at in range(market.num_steps):
            legal(view.mask, compiled.nvec, at, actions)
            if at in MOMENTS:
                for name, kernel in kernels.items():
                    copies = [type(part)(*(array.copy() for array in part)) for part in (state, view)]
                    with patch.object(step, "advance", kernel):
                        watches[name].start()
                        compiled.advance(*copies, actions, 0, rows)
                        watches[name].stop()
            compiled.advance(state, view, actions, 0, rows)
        count = len(MOMENTS) * rows * agents
        parts = {name: (count, watch.wall, watch.cpu) for name, watch in watches.items()}
        return Sample(*parts[list(parts)[-1]], parts)

    return play, {"moments": len(MOMENTS)}
