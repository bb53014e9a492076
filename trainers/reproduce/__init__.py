"""`swarm reproduce NAME`: a paper's tables, from trainings over several seeds to the note, by one command.

A study is a module with ``study(out, seeds, engine, quick) -> list[Path]``: it trains what `out` does not hold yet
(`trainers.reproduce.jobs`), and writes tables, figures and the note; what it returns are the files it wrote.
"""

from __future__ import annotations

import argparse
import difflib
from importlib import import_module
from pathlib import Path

from swarm_env.engine.options import engine_of

MOST = 1000  #: seeds
#: Studies by name, and the module of each.
STUDIES: dict[str, str] = {
    "waltz": "trainers.reproduce.waltz",
    "macpo": "trainers.reproduce.macpo",
    "macpo_language": "trainers.reproduce.macpo_language",
    "waltz_language": "trainers.reproduce.waltz_language",
    "compare": "trainers.reproduce.compare",
}


def main(arguments: argparse.Namespace) -> int:
    """`swarm reproduce`; ValueError for a study that there is not, or numbers that make no sense."""
    name: str = arguments.name
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise ValueError(f"reproduce: unknown study {name!r}; allowed: {', '.join(STUDIES)}{hint}")
    if not 1 <= arguments.seeds <= MOST:
        raise ValueError(
            f"reproduce: --seeds {arguments.seeds} is out of range; allowed: a whole number in [1, {MOST}]"
        )
    engine = engine_of(arguments)
    out = Path(arguments.out or Path("runs") / f"reproduce_{name}{'_quick' if arguments.quick else ''}")
    for path in import_module(STUDIES[name]).study(out, arguments.seeds, engine, arguments.quick):
        print(f"wrote {path}")
    return 0
