"""WaltzRL's tables in the market: what is trained, who decides in held-out markets, and what the note says of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Generator

import swarm_env
from swarm_env import Scenario
from swarm_env.engine import job as engine_job
from swarm_env.engine.run import Engine
from trainers import attainable, baselines, governed, pairs
from trainers.checkpoint import write_whole
from trainers.games.market import MarketGame, populations
from trainers.governed import HELD_OUT, Decider
from trainers.reproduce import jobs, waltz_market, waltz_tables
from trainers.reproduce.files import Files, Piece
from trainers.reproduce.jobs import Job
from trainers.waltz_config import Config

ROOT = Path(__file__).resolve().parents[2]
NOTE = ROOT / "research" / "notes" / "waltz_results.md"
FIGURES = ROOT / "docs"
EPISODES = 128  #: held-out markets of a row
APART = 2**20  #: held-out market seeds between two of the study's seeds
LABELLED = 2_000  #: proposals that the safeguard has learnt from
MANY = 60_000  #: proposals that the attainable decisions are estimated from
FEWER = 2  #: seeds of the settings beyond the paper's tables

L = ("stage1.variant=L", "stage2.variant=L")
SINGLE = ("overseer=false", "stage2.steps=250")
#: Setting -> overrides of configs/waltz.yaml: the paper's rows and ablations, over all seeds.
SETTINGS: dict[str, tuple[str, ...]] = {
    "waltz": (),
    "variant_L": L,
    "variant_C": ("stage2.variant=C",),
    "variant_A": ("stage2.variant=A",),
    "variant_D": ("stage1.variant=D", "stage2.variant=D"),
    "single": SINGLE,
    "single_ledger": (*SINGLE, "actor_sees=ledger"),
    "stage1_B": ("stage1.variant=B", "stage2.steps=0"),
    "stage1_C": ("stage1.variant=C", "stage2.steps=0"),
    "one_stage": ("stage1.steps=0", "stage2.steps=250", "stage2.variant=A"),
}
#: And beyond them, over FEWER seeds.
BEYOND: dict[str, tuple[str, ...]] = {
    "t_max_2": ("t_max=2",),
    "needless_.1": (*L, "needless_penalty=0.1"),
    "needless_.3": (*L, "needless_penalty=0.3"),
    "alpha_.3": (*L, "alpha=0.3", "lam=0.6"),
    "alpha_.85": (*L, "alpha=0.85", "lam=0.05"),
    "harmful_25": (*L, "shares={disguised: 0.15, overt: 0.1, sensitive: 0.3, plain: 0.45}"),
    "harmful_75": (*L, "shares={disguised: 0.45, overt: 0.3, sensitive: 0.1, plain: 0.15}"),
    "observation": ("actor_sees=observation",),
    "observation_single": (*SINGLE, "actor_sees=observation"),
    "ledger": ("actor_sees=ledger",),
}
#: For a look at whether all of it works.
QUICK = (
    "overrides=[simulation.n_epochs=4]", "num_envs=256", "batch=256", "populations=4", "warm_start.contexts=2000",
    "warm_start.steps=60", "stage1.steps=5", "stage2.steps=5",
)  # fmt: skip

#: Populations that no training saw, in place of the scenario's.
UNSEEN: dict[str, dict[str, int]] = {
    "mostly honest": {"honest": 6, "adversarial": 1},
    "mostly harmful": {"honest": 2, "deceptive": 2, "adversarial": 3},
    "other archetypes": {"honest": 3, "cautious": 2, "adaptive_adversary": 2},
}


def plan(seeds: int, quick: bool) -> list[Job]:
    """Every training, those of the paper's tables first."""
    extra = (*(QUICK if quick else ()), "eval_episodes=0")
    wanted = [*((name, seeds) for name in SETTINGS), *((name, min(FEWER, seeds)) for name in BEYOND)]
    both = {**SETTINGS, **BEYOND}
    return [Job(name, "waltz", (*extra, *both[name]), seed) for name, count in wanted for seed in range(count)]


def study(out: Path, seeds: int, engine: Engine, quick: bool) -> list[Path]:
    """Train, judge, write; see `trainers.reproduce`."""
    trainings = plan(seeds, quick)
    jobs.run(trainings, out, engine)
    names = [(job.name, job.seed) for job in trainings]
    every = [(kind, seed) for kind in ("shared", "market") for seed in range(seeds)] + names
    work = Files("judge", [_piece(out, *one) for one in every], print)
    print(f"{len(every) - len(work)} runs are to be judged")
    work.carry_out(engine, out)
    scores = {one: json.loads(_scores(out, *one).read_text()) for one in [("shared", s) for s in range(seeds)] + names}
    return waltz_tables.write(out, scores, None if quick else NOTE, out if quick else FIGURES)


def _scores(out: Path, name: str, seed: int) -> Path:
    return out / "scores" / f"{name}_seed{seed}.json"


def _piece(out: Path, name: str, seed: int) -> Piece:
    """The judging of a run: what it is called, and the hash of what was trained, which is there by now."""
    trained = (out / f"{name}_seed{seed}" / jobs.LAST, out / f"waltz_seed{seed}" / jobs.LAST)
    held = [hashlib.sha256(path.read_bytes()).hexdigest() for path in trained if path.exists()]
    file = _scores(out, name, seed)
    job = engine_job.Job("judge", {"name": name, "seed": seed, "trained": held}, {"out": str(out.resolve())})
    return Piece(job, f"scores of {name}_seed{seed}", file.exists(), file)


def run_jobs(each: Sequence[engine_job.Job]) -> list[None]:
    """Judge; what a worker does."""
    for job in each:
        _judge(Path(job.hints["out"]), job.params["name"], job.params["seed"])
    return [None] * len(each)


def _judge(out: Path, name: str, seed: int) -> None:
    """Write the scores of a run's rows: row -> metric -> value; undefined is None."""
    torch.set_num_threads(1)
    if name == "market":
        waltz_market.judge(out, seed)
        return
    rows = _shared_rows(out, seed) if name == "shared" else _rows(out, name, seed)
    plain = {row: {key: None if x != x else x for key, x in values.items()} for row, values in rows.items()}
    write_whole(_scores(out, name, seed), (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode())


class Bench:
    """Held-out markets of one of the study's seeds."""

    def __init__(self, trained: pairs.Trained, seed: int) -> None:
        self.config, self.rules, self.seed = trained.config, trained.rules, seed
        self.scenario = swarm_env.load_scenario(self.config.scenario, self.config.overrides)
        self.first = HELD_OUT + seed * APART

    def mixed(self, config: Config) -> list[Scenario]:
        """Populations drawn as training's are."""
        return populations(self.scenario, config.populations, config.population_spread, self.first)

    def score(self, decider: Decider, scenarios: Sequence[Scenario] | None = None) -> dict[str, float]:
        """See `governed.govern`."""
        return governed.govern(scenarios or self.mixed(self.config), self.rules, decider, EPISODES, self.first)


def _rows(out: Path, name: str, seed: int) -> dict[str, dict[str, float]]:
    """What a training came to: its policies, and what there was between the stages."""
    folder = out / f"{name}_seed{seed}"
    trained = pairs.load(folder)
    bench = Bench(trained, seed)
    rows = {"trained": bench.score(trained.decider(seed))}
    if name in ("waltz", "variant_L"):
        rows["alone"] = bench.score(trained._replace(feedback=None).decider(seed))
        rows["stage1"] = bench.score(pairs.load(folder, "stage1").decider(seed))
        rows |= {f"unseen: {k}": bench.score(trained.decider(seed), [v]) for k, v in _unseen(bench.scenario).items()}
    if name == "single":
        guard = _guard(bench, seed)
        rows["safeguard"] = bench.score(baselines.safeguarded(trained.decider(seed), guard))
        rows |= {f"unseen: {k}": bench.score(trained.decider(seed), [v]) for k, v in _unseen(bench.scenario).items()}
    return rows


def _unseen(scenario: Scenario) -> dict[str, Scenario]:
    written = scenario.to_dict()
    mixed = {name: [{"type": kind, "count": n} for kind, n in counts.items()] for name, counts in UNSEEN.items()}
    return {name: swarm_env.load_scenario({**written, "agents": agents}) for name, agents in mixed.items()}


def _shared_rows(out: Path, seed: int) -> dict[str, dict[str, float]]:
    """What does not depend on any training but the warm start: rows 1, 2, 5 and 6, and what could be attained."""
    base = pairs.load(out / f"waltz_seed{seed}", "base")
    bench = Bench(base, seed)
    alone = base._replace(feedback=None)
    rows: dict[str, Callable[[], Decider]] = {
        "base": lambda: alone.decider(seed),
        "base + safeguard": lambda: baselines.safeguarded(alone.decider(seed), _guard(bench, seed)),
        "untrained collaboration": lambda: base.decider(seed),
        "oracle labels": lambda: baselines.oracle(base.rules, base.conversation, Generator().manual_seed(seed)),
        "attainable: surface": lambda: baselines.by(_attainable(bench, "surface", seed)),
        "attainable: observation": lambda: baselines.by(_attainable(bench, "observation", seed)),
        "attainable: ledger": lambda: baselines.by(_attainable(bench, "ledger", seed)),
    }
    found = {name: bench.score(make()) for name, make in rows.items()}
    unseen = _unseen(bench.scenario).items()
    return found | {f"base, unseen: {k}": bench.score(alone.decider(seed), [v]) for k, v in unseen}


def _labelled(bench: Bench, count: int, decider: Decider, seed: int) -> object:
    """Proposals as training meets them, governed by `decider`."""
    config = bench.config
    mixed = populations(bench.scenario, config.populations, config.population_spread, config.seed)
    game = MarketGame(mixed, 512, 2**56 + seed * 2**24)
    return game.contexts(count, lambda met: game.action(decider(met).answer))


def _guard(bench: Bench, seed: int) -> attainable.Classifier:
    """A classifier of few labels that refuses what is likelier harmful than not."""
    contexts = _labelled(bench, LABELLED, baselines.always(1), seed)
    generator = Generator().manual_seed(seed)
    return attainable.fit(contexts, bench.rules.threshold, "ledger", generator, hidden=32)._replace(threshold=0.5)  # type: ignore[arg-type]


def _attainable(bench: Bench, sees: str, seed: int) -> attainable.Classifier:
    """The best rule found, fitted again to the markets that it makes: twice, as its decisions change them."""
    decider = baselines.always(1)
    for _ in range(2):
        contexts = _labelled(bench, MANY, decider, seed)
        rule = attainable.fit(contexts, bench.rules.threshold, sees, Generator().manual_seed(seed))  # type: ignore[arg-type]
        decider = baselines.by(rule)
    return rule
