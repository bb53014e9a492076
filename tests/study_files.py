"""A small annotation that tests change, and the parts they compare."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

ANNOTATIONS = Path(__file__).resolve().parent.parent / "research/annotations"

SMALL: dict[str, Any] = {
    "study": "small",
    "goal": "Is it quick?",
    "paper": {"ids": {"arxiv": "2510.08240"}, "title": "The Alignment Waltz"},
    "risk_profile": {"interaction_density": "low", "failure_modes": ["none | known"], "assumptions": ["many"]},
    "scenario": "alignment_waltz_targeted_feedback",
    "roles": [
        {"name": "teacher", "archetypes": ["honest", "opportunistic"], "shares": [0.5]},
        {"name": "feedback", "levers": ["audit", "circuit_breaker"]},
    ],
    "targeted": {"simulation.n_epochs": 3, "simulation.steps_per_epoch": 6, "governance.security_enabled": False},
    "always_on": {"governance.audit_probability": 1.0, "governance.audit_threshold_p": 1.0},
    "arms": [{"name": "mine", "set": {"governance.audit_threshold_p": 0.5}}],
    "metrics": ["brier_score"],
    "claims": [
        {
            "id": "less_harm", "text": "It helps.", "testable": True, "metric": "toxicity_rate",
            "condition": {"arm": "targeted", "against": "baseline"}, "expected": {"direction": "lower"},
        },
        {
            "id": "charged", "text": "All are charged.", "testable": True, "metric": "intervention_rate",
            "condition": {"arm": "always_on"}, "expected": {"range": [0.99, 1.0]},
        },
        {
            "id": "grows", "text": "It grows.", "testable": True, "metric": "quality_gap",
            "condition": {"arm": "targeted", "against": "baseline", "epochs": "growth"},
            "expected": {"direction": "higher"},
        },
        {
            "id": "words", "text": "It reads better.", "testable": False, "metric": "a benchmark",
            "reason": "The market has no words.", "tested_by": "swarm reproduce waltz",
        },
    ],
}  # fmt: skip


def changed(**changes: Any) -> dict[str, Any]:
    """SMALL with values at dotted keys, dots written as __; None takes a key away."""
    data = copy.deepcopy(SMALL)
    for path, value in changes.items():
        here: Any = data
        *above, last = [int(part) if part.isdecimal() else part for part in path.split("__")]
        for part in above:
            here = here[part]
        if value is None:
            del here[last]
        else:
            here[last] = value
    return data


def write(folder: Path, data: dict[str, Any], name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
