"""The governed market: a trained pair as overseer beside levers that are off, as written, and always on.

The research note's question is whether feedback that steps in only where it is needed lowers toxicity without a
collapse of quality filtering. Everybody meets the same held-out markets; the whole metric suite is `swarm evaluate`'s.
"""

from __future__ import annotations

import json
from pathlib import Path

import swarm_env
from swarm_env.evaluation import FIRST_SEED
from trainers.checkpoint import write_whole
from trainers.reproduce import markets
from trainers.reproduce.tables import cell, markdown
from trainers.waltz_config import Config

EPISODES = 64  #: held-out markets of a cell and seed
APART = 2**21  #: market seeds between two of the study's seeds; others than `reproduce.waltz` judges in

#: Governance -> overrides. Always on: every dealing is audited and falls short, every threat score is fined.
GOVERNANCE: dict[str, tuple[str, ...]] = {
    "levers off": ("governance=null",),
    "levers as written": (),
    "levers always on": (
        "governance.audit_probability=1.0", "governance.audit_threshold_p=1.0",
        "governance.security_penalty_threshold=0.0",
    ),
}  # fmt: skip
#: Who answers every proposal -> SPEC, of a seed's runs.
ANSWERS: dict[str, str] = {
    "scripts": "scripts",
    "base": "waltz_seed{seed}#base-conversation",
    "WaltzRL": "waltz_seed{seed}",
    "WaltzRL, L": "variant_L_seed{seed}",
    "single-policy RL": "single_seed{seed}",
}


def judge(out: Path, seed: int) -> None:
    """Write scores/market_seed<n>.json: governance -> answers -> metric -> value; undefined is None."""
    specs = {who: spec if spec == "scripts" else str(out / spec.format(seed=seed)) for who, spec in ANSWERS.items()}
    found = {
        governance: markets.judge(
            swarm_env.load_scenario(Config().scenario, overrides), specs, EPISODES, FIRST_SEED + (seed + 1) * APART
        )
        for governance, overrides in GOVERNANCE.items()
    }
    write_whole(path(out, seed), (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())


def path(out: Path, seed: int) -> Path:
    """Where a seed's scores are."""
    return out / "scores" / f"market_seed{seed}.json"


def table(out: Path, seeds: int) -> str:
    """Means and intervals over seeds."""
    scores = [json.loads(path(out, seed).read_text(encoding="utf-8")) for seed in range(seeds)]
    lines = [
        [f"{governance}: {who}", *(cell([one[governance][who][m] for one in scores], p) for _, m, p in markets.COLUMNS)]
        for governance in GOVERNANCE
        for who in ANSWERS
    ]
    return markdown(["", *(heading for heading, _, _ in markets.COLUMNS)], lines)
