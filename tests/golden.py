"""Golden playthroughs: what each shipped scenario does, step by step, so that a diff shows what behaviour changed.

`python -m tests.golden` rewrites them, after a change of behaviour that is meant. A file holds the first events of a
run in words, a line an event, and the hash and metrics of the whole run.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from swarm_env import load_scenario
from swarm_env.catalog import shipped
from swarm_env.events import Event
from swarm_env.recording import read_events
from swarm_env.simulate import RunResult, run

FOLDER = Path(__file__).parent / "golden"
STEPS = 8  #: steps told in words
METRICS = ("total_interactions", "acceptance_rate", "toxicity_rate", "quality_gap", "total_welfare", "avg_reputation")


def tell(event: Event) -> str:
    """One event in a line; floats to 12 digits, so that the last bit of a libm does not show."""
    parts = [f"{event['step']:>4}", event["event"]]
    for key, value in event.items():
        if key in ("event", "epoch", "step"):
            continue
        parts.append(f"{key}={round_off(value)}")
    return " ".join(parts)


def round_off(value: object) -> object:
    """Floats to 12 significant digits, in lists and mappings too."""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list):
        return "[" + ",".join(str(round_off(v)) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{round_off(v)}" for k, v in value.items()) + "}"
    return value


def playthrough(scenario_id: str, folder: Path) -> str:
    """The text of a golden file, from a run that is written to `folder`."""
    scenario = load_scenario(shipped()[scenario_id])
    result: RunResult = run(scenario, out=folder)
    events = [e for e in read_events(folder / f"{scenario_id}_events.jsonl") if e["event"] not in ("run", "scenario")]
    told = [tell(event) for event in events]
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()
    head = [f"scenario {scenario_id}, seed {result.seed}, {len(events)} events, sha256 {digest}"]
    head += [f"{name} {result.metrics[name]:.12g}" for name in METRICS]
    first = [line for event, line in zip(events, told, strict=True) if event["step"] < STEPS]
    return "\n".join([*head, "", *first]) + "\n"


if __name__ == "__main__":
    import tempfile

    FOLDER.mkdir(exist_ok=True)
    for name in shipped():
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / f"{name}.txt").write_text(playthrough(name, Path(folder)), encoding="utf-8")
        print(f"wrote {name}")
