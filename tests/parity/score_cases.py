"""The scores behind collusion and security control, one formula at a time, against SWARM's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from swarm.metrics.collusion import CollusionDetector
from swarm.metrics.security import ContagionChain, LaunderingPath, ManipulationPattern, SecurityAnalyzer
from swarm.models.interaction import SoftInteraction

from swarm_env.core.chains import laundering_risk
from swarm_env.core.levers import collusion, security
from tests.parity.differences import Differences


def compare_scores(seen: Differences, rng: np.random.Generator) -> None:
    """One random case of every formula."""
    _pair(seen, rng)
    _group(seen, rng)
    _single(seen, rng)
    _patterns(seen, rng)


def _pair(seen: Differences, rng: np.random.Generator) -> None:
    """SWARM ignores the correlation threshold, so it is 0 here."""
    frequency = float(rng.uniform(0.1, 4))
    accepted, correlation, mean_p, z = (float(x) for x in rng.uniform([0, -1, 0, -3], [1, 1, 1, 6]))
    count = int(rng.integers(1, 25))
    params = SimpleNamespace(collusion_frequency_threshold=frequency, collusion_correlation_threshold=0.0)
    theirs = CollusionDetector(frequency_threshold=frequency)._compute_pair_collusion_score(
        z, correlation, accepted, mean_p, count
    )
    seen.add("collusion pair_score", collusion.pair_score(params, count, accepted, correlation, mean_p, z), theirs)


def _group(seen: Differences, rng: np.random.Generator) -> None:
    size = int(rng.integers(2, 8))
    members = {str(k) for k in range(size)}
    inside, outside = ([float(p) for p in rng.random(int(rng.integers(0, 6)))] for _ in range(2))
    dealings = [SoftInteraction(initiator="0", counterparty="1", p=p) for p in inside]
    dealings += [SoftInteraction(initiator="0", counterparty="x", p=p) for p in outside]
    score = collusion.group_score(size, len(inside), sum(inside), len(outside), sum(outside))
    theirs = CollusionDetector()._compute_group_metrics(members, dealings).collusion_score
    seen.add("collusion group_score", score, theirs)


def _single(seen: Differences, rng: np.random.Generator) -> None:
    """What one interaction says: injection and exfiltration."""
    analyzer, p, accepted = SecurityAnalyzer(injection_threshold=0.0), float(rng.random()), bool(rng.random() < 0.7)
    misuse, rejections = (int(n) for n in rng.integers(0, 5, 2))
    dealing = SoftInteraction(
        initiator="a", counterparty="b", p=p, accepted=accepted,
        tool_misuse_flags=misuse, verifier_rejections=rejections,
    )  # fmt: skip
    score = security.injection_score(accepted, p, misuse, rejections)
    seen.add("security injection_score", score, analyzer._compute_injection_score(dealing))
    injection = analyzer._detect_prompt_injection([dealing])[0]
    seen.add("security injection_risk", security.injection_risk(score), injection.risk_score)
    found = analyzer._detect_exfiltration([dealing])
    seen.add("security exfiltration_risk", security.exfiltration_risk(misuse), found[0].risk_score if found else 0.0)


def _patterns(seen: Differences, rng: np.random.Generator) -> None:
    """What several interactions say: manipulation, laundering, contagion."""
    analyzer = SecurityAnalyzer()
    rate, gain, velocity = float(rng.random()), float(rng.uniform(0, 2)), float(rng.uniform(0, 20))
    depth = int(rng.integers(1, 9))
    manipulation = analyzer._pattern_to_indicator(ManipulationPattern("a", success_rate=rate))
    seen.add("security manipulation_risk", security.manipulation_risk(rate), manipulation.risk_score)
    laundering = analyzer._laundering_to_indicator(LaunderingPath("a", "b", trust_gain=gain))
    seen.add("security laundering_risk", laundering_risk(gain), laundering.risk_score)
    contagion = analyzer._contagion_to_indicator(ContagionChain("0", "a", ["a", "b"], depth=depth, velocity=velocity))
    seen.add("security contagion_risk", security.contagion_risk(depth, velocity), contagion.risk_score)
