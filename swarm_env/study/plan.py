"""A study: an annotation whose arms are played, whose claims are tested, and what that comes to."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm_env.engine.journal import Kind, digest
from swarm_env.engine.run import HERE, Engine
from swarm_env.engine.store import Store
from swarm_env.evaluation import results, statistics
from swarm_env.evaluation.paired import FIRST_SEED, Paired, Progress, by_seed
from swarm_env.recording import Whole
from swarm_env.study.annotation import ALWAYS_ON, BASELINE, TARGETED, Annotation, load_annotation
from swarm_env.study.arms import Arm, build_arms
from swarm_env.study.claims import Finding, Values, test_claims, to_dict

SCHEMA = "swarm-study/1"
KIND = Kind("study", SCHEMA, ("arm", "seed"))
SEEDS, EPISODES = 40, 8  #: unless others are asked for
#: What every study shows: the metrics of the research note's mapping, then safety, cost, who pays, and the warnings.
STANDARD: tuple[str, ...] = (
    "toxicity_rate", "toxicity_rate_all", "quality_gap", "spread", "conditional_loss_initiator",
    "conditional_loss_counterparty", "acceptance_rate", "net_social_welfare", "attack_success_rate",
    "overrefusal_rate", "safety_f1", "governance_cost", "intervention_rate", "intervention_rate_risky",
    "intervention_rate_sound", "ecosystem_collusion_risk", "max_pair_score", "n_flagged_pairs",
    "ecosystem_threat_level", "active_threats", "injection_rate", "quarantines", "freezes",
)  # fmt: skip
LONG: tuple[str, ...] = ("arm", "seed", "market_seed", "episodes", "metric", "value")  #: columns of runs.csv


@dataclass(frozen=True)
class Found:
    """What a study found. `document` is that of docs/studies.md; undefined numbers are NaN."""

    document: dict[str, Any]
    findings: tuple[Finding, ...]

    def summary(self, arm: str, metric: str) -> dict[str, Any]:
        """The row of an arm and a metric."""
        return self._row("summary", arm=arm, metric=metric)

    def comparison(self, arm: str, against: str, metric: str) -> dict[str, Any]:
        """The row of an arm less another one."""
        return self._row("comparisons", arm=arm, against=against, metric=metric)

    def _row(self, table: str, **wanted: str) -> dict[str, Any]:
        for row in self.document[table]:
            if all(row[key] == value for key, value in wanted.items()):
                found: dict[str, Any] = row
                return found
        raise KeyError(f"{table}: no row of {wanted}")


class Study:
    """An annotation that has been read and checked, before anything is played.

    Args:
        path: the annotation.
        seeds: of each arm, 1..1024; tests at the 5 % level need at least 6, many claims more.
        episodes: of each seed; a seed's numbers are means over them.

    Raises:
        ScenarioError: an annotation or a scenario that is wrong. EvaluationError: a number out of range.
        ImportError: scipy is missing.
    """

    def __init__(self, path: str | os.PathLike[str], seeds: int = SEEDS, episodes: int = EPISODES) -> None:
        statistics.require_scipy()
        self.annotation: Annotation = load_annotation(path)
        self.arms: dict[str, Arm] = build_arms(self.annotation, path)
        scenarios = {name: arm.scenario for name, arm in self.arms.items()}
        first = FIRST_SEED if self.annotation.first_seed is None else self.annotation.first_seed
        self.paired = Paired(KIND, scenarios, seeds, episodes, self.annotation.windowed, first)

    @property
    def settings_hash(self) -> str:
        """Of what the runs depend on."""
        return digest(self.paired.identity)

    @property
    def shown(self) -> list[str]:
        """Metrics of the tables: the standard ones, the annotation's, the claims', returns by archetype."""
        scenario = self.arms[TARGETED].scenario
        own = [*self.annotation.metrics, *(str(claim.metric) for claim in self.annotation.testable)]
        roles = dict.fromkeys(scenario.archetypes)
        by_role = [f"{name}.{role}" for name in ("return", "sidelined") for role in roles]
        return list(dict.fromkeys([*STANDARD, *own, *by_role]))

    def run(self, work: Path | None, progress: Progress | None = None, engine: Engine = HERE) -> Found:
        """Play what the folder `work` does not hold yet (None keeps nothing) and test the claims."""
        with closing(self.paired.store(work)) as kept:
            self.paired.fill(kept, progress, engine)
            values = by_seed(kept.units(), KIND.key[0])
            findings = test_claims(self.annotation.claims, values)
            document = self._document(kept.head["created"], values, findings)
            if work is not None:
                self._write(work, kept, document)
            return Found(document, tuple(findings))

    def _write(self, work: Path, kept: Store, document: dict[str, Any]) -> None:
        """The generated scenarios, every number by seed, the document."""
        for name, arm in self.arms.items():
            with Whole(work / "scenarios" / f"{name}.yaml") as file:
                file.write(f"# {self.annotation.study}, arm {name}: {arm.text}\n" + arm.scenario.to_yaml())
        rows = (
            (*(unit[name] for name in LONG[:4]), metric, value)
            for unit in kept.units()
            for metric, value in unit["metrics"].items()
        )
        results.write_long(work, LONG, rows)
        results.write_document(work / "results.json", document)

    def _document(self, created: str, values: Values, findings: list[Finding]) -> dict[str, Any]:
        annotation, paired = self.annotation, self.paired
        return {
            "schema": SCHEMA,
            "study": annotation.study,
            "created": created,
            "versions": results.versions(),
            "settings": {
                "scenario": self.arms[TARGETED].scenario.scenario_id, "seeds": paired.seeds,
                "episodes": paired.episodes, "first_seed": paired.first_seed, "settings_hash": self.settings_hash,
            },
            "annotation": annotation.model_dump(mode="json", exclude={"claims"}, exclude_none=True),
            "arms": [
                {"arm": arm.name, "text": arm.text, "content_hash": arm.scenario.content_hash}
                for arm in self.arms.values()
            ],
            "claims": [to_dict(finding) for finding in findings],
            "summary": self._summary(values),
            "comparisons": self._comparisons(values),
        }  # fmt: skip

    def _summary(self, values: Values) -> list[dict[str, Any]]:
        kept = ("n", "undefined", "mean", "sd", "low", "high")
        rows = []
        for arm in self.arms:
            for metric in self.shown:
                if metric in values[arm]:
                    said = statistics.spread([values[arm][metric]])._asdict()
                    rows.append({"arm": arm, "metric": metric, **{name: said[name] for name in kept}})
        return rows

    def _comparisons(self, values: Values) -> list[dict[str, Any]]:
        """Governed arms less the one without governance, variants less the targeted arm, seed by seed.

        They were not asked about: Holm's correction is over the metrics of one pair of arms, apart from the claims.
        """
        rows: list[dict[str, Any]] = []
        for arm, against in self.pairs:
            metrics = [metric for metric in self.shown if metric in values[arm] and metric in values[against]]
            said = [statistics.compare(values[arm][metric], values[against][metric]) for metric in metrics]
            corrected = statistics.holm([each.p for each in said])
            for metric, each, p in zip(metrics, said, corrected, strict=True):
                rows.append({"arm": arm, "against": against, "metric": metric, **each._asdict(), "p_holm": p})
        return rows

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(arm, what it is compared with)."""
        governed = [arm for arm in self.arms if arm != BASELINE and not arm.endswith("_ungoverned")]
        pairs = [(TARGETED, BASELINE), (ALWAYS_ON, BASELINE)]
        pairs += [(arm, TARGETED) for arm in governed if arm != TARGETED]
        return pairs + [(arm, f"{arm}_ungoverned") for arm in governed if f"{arm}_ungoverned" in self.arms]
