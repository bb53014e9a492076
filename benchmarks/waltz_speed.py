"""How many contexts WaltzRL gets through in a second of processor time, and what an update spends its time on.

python benchmarks/waltz_speed.py
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import time
from collections.abc import Callable
from typing import Any

from trainers.waltz import Trainer
from trainers.waltz_config import load_config

UPDATES, REPEATS = 8, 5
#: Share of an update -> function whose time, with all that it calls, it is.
PARTS = {
    "meeting contexts in governed markets": ("live.py", "take"),
    "of it: the market's kernel and its wrapper": ("batch.py", "step"),
    "of it: the policies that govern": ("waltz.py", "govern"),
    "collaborations, those that govern included": ("rollouts.py", "play"),
    "learning": ("waltz.py", "_learn"),
}


def rate(work: Callable[[], int]) -> float:
    """Median over REPEATS of what `work` says it has done, a second of processor time."""
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        done = work()
        found.append(done / (time.process_time() - start))
    return statistics.median(found)


def main() -> None:
    trainer = Trainer(load_config(None))
    trainer.done = trainer.config.stage1.steps  # both policies learn
    trainer.update()
    live, met, step = trainer.game.live, [0], trainer.game.live.step

    def counted(decide: Any) -> Any:
        contexts, infos = step(decide)
        met[0] += len(contexts)
        return contexts, infos

    live.step = counted  # type: ignore[method-assign]

    def updates() -> int:
        met[0] = 0
        for _ in range(UPDATES):
            trainer.update()
        return met[0]

    def governing() -> int:
        met[0] = 0
        for _ in range(40):
            live.step(trainer.govern)
        return met[0]

    contexts = trainer.game.contexts(trainer.config.batch, trainer.govern)

    def collaborating() -> int:
        for _ in range(30):
            trainer.play(contexts)
        return 30 * len(contexts)

    print(f"contexts met in whole updates      {rate(updates):>10,.0f} a second")
    print(f"contexts met, governed, not learnt {rate(governing):>10,.0f}")
    print(f"collaborations on a given batch    {rate(collaborating):>10,.0f}")
    profile = cProfile.Profile()
    profile.runcall(updates)
    table = pstats.Stats(profile)
    spent = {(file.rsplit("/", 1)[-1], name): row[3] for (file, _, name), row in table.stats.items()}  # type: ignore[attr-defined]
    for part, key in PARTS.items():
        print(f"{100 * spent[key] / table.total_tt:3.0f} %  {part}")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
