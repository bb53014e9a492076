"""The research note's axis: a population that shifts from honest to deceptive, and who decides in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trainers import macpo, standings, weak_to_strong
from trainers.checkpoint import write_whole
from trainers.reproduce.tables import cell, markdown

if TYPE_CHECKING:
    from trainers.reproduce.macpo import Found

#: Honest, opportunistic, deceptive agents in rounds 0..3; round 1 is the scenario as written.
MIXES = "[[6,1,1],[4,2,2],[3,2,3],[2,2,4]]"
#: At the scenario's own threshold of .5 one proposal in a hundred is harmful: accepting everything is all but right.
THRESHOLD = 0.65
SHIFT = (
    "scenario=macpo_weak_to_strong", f"overrides=[market.safety_threshold={THRESHOLD}]", f"mixes={MIXES}",
    "fresh_contexts=true", "population_spread=0", "populations=1", "contexts=1024", "held_out=2048",
)  # fmt: skip
SETTINGS: dict[str, tuple[str, ...]] = {
    "published, shifting population": SHIFT,
    "majority, shifting population": (*SHIFT, "selection=majority"),
    "majority throughout and balanced, shifting population": (
        *SHIFT,
        "selection=majority",
        "weak_labels=majority",
        "contrast.balance=true",
    ),
}
#: What the note's template asks for, and what acceptance costs.
SHOWN = ("toxicity_rate", "toxicity_rate_all", "quality_gap", "spread", "conditional_loss_initiator",
         "conditional_loss_counterparty", "ecosystem_collusion_risk", "acceptance_rate", "total_welfare")  # fmt: skip


def stays(found: Found, name: str, policy: str | None) -> list[list[dict[str, float]]]:
    """SUITE by seed and round of a policy that does not learn in the same markets; None: scripts. Kept in a file."""
    out = []
    for job in found.jobs[name]:
        path = job.folder(found.out) / f"stays_{policy or 'scripts'}.json"
        if not path.exists():
            config = job.config()
            trained = weak_to_strong.load(job.folder(found.out), policy) if policy else None
            rows = [weak_to_strong.market(config, t, trained, config.round_episodes) for t in range(config.rounds + 1)]
            write_whole(path, json.dumps([standings.plain(row) for row in rows]).encode())
        out.append(json.loads(path.read_text(encoding="utf-8")))
    return out


def table(found: Found) -> str:
    """Who decides, round by round."""
    name = next(iter(SETTINGS))
    mixes = macpo.load_config(None, SHIFT).mixes
    body = []
    for t, mix in enumerate(mixes):
        said = "/".join(map(str, mix))
        for who, still in (("scripts", None), ("naive student", "naive"), ("ceiling", "ceiling")):
            rows = stays(found, name, still)
            cells = [cell([one[t][key] for one in rows], _decimals(key)) for key in SHOWN]
            body.append([f"round {t} ({said}): {who}", *cells])
        for each in SETTINGS:
            cells = [cell(found.rounds(each, f"market/{key}")[:, t], _decimals(key)) for key in SHOWN]
            body.append([f"round {t} ({said}): MACPO, {each.partition(',')[0]}", *cells])
    return markdown(["honest/opportunistic/deceptive", *SHOWN], body)


def _decimals(key: str) -> int:
    return 0 if key == "total_welfare" else 3
