"""Bad input of `swarm report`: one clear line (what, where, what is allowed), exit code 2, nothing written."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from swarm_env.cli import main
from tests.report_logs import evaluation, scenario_event, settlement


def with_value(part: str, key: str, value: object) -> str:
    """An evaluation with one wrong number."""
    return json.dumps(evaluation(**{part: [{**evaluation()[part][0], key: value}]}))


GOOD = json.dumps(scenario_event(["a", "b"], 2, 2))
SETTLED = settlement(0, 2, "a", "b", random.Random(0))
BAD: dict[str, tuple[str | bytes, list[str]]] = {
    "empty.jsonl": ("", ["is empty", "swarm run"]),
    "blank.csv": (" \n\n", ["is empty"]),
    "binary.jsonl": (b"\x89PNG\0\1\2", ["is no text"]),
    "latin.csv": ("scenario_id,seed,épo\n".encode("latin-1"), ["is no text"]),
    "words.txt": ("hello there\n", ["line 1", "'hello there'", "swarm evaluate"]),
    "other.csv": ("a,b\n1,2\n", ["line 1", "'a,b'"]),
    "swarm.jsonl": ('{"event_id": "1", "event_type": "agent_created"}\n', ["another program", "swarm run"]),
    "other.json": ('{"schema": "other/1"}', ["'other/1'", "swarm-evaluation/1"]),
    "plain.json": ('{\n"a": 1}', ["has no schema"]),
    "half.json": (json.dumps(evaluation(), indent=1)[:300], ["line", "not whole JSON"]),
    "missing.json": (json.dumps(evaluation(summary=None)), ["summary is missing"]),
    "text.json": (with_value("summary", "mean", "<b>"), ["summary[0].mean", "'<b>'"]),
    "infinite.json": (with_value("comparisons", "p", 1e999), ["comparisons[0].p", "inf"]),
    "run.json": (json.dumps(evaluation(runs=[{"policy": 3}])), ["runs[0].policy", "3"]),
    "cut_first.jsonl": (GOOD[:60], ["line 1", "cut before its run began"]),
    "no_run.jsonl": ('{"event":"run"}\n', ["holds no run"]),
    "starts_late.jsonl": (json.dumps(SETTLED) + "\n", ["line 1", "before any `scenario`"]),
    "mixed.jsonl": (GOOD + "\nscenario_id,seed,epoch\n", ["line 2", "not an event", "scenario_id"]),
    "format.jsonl": (GOOD.replace('"format": 1', '"format": 9') + "\n", ["line 1", "format 9"]),
    "value.jsonl": (f"{GOOD}\n{json.dumps({**SETTLED, 'p': 'high'})}\n", ["line 2", "p is 'high'", "finite"]),
    "nan.jsonl": (f"{GOOD}\n{json.dumps({**SETTLED, 'tau': math.nan})}\n", ["line 2", "tau is 'nan'"]),
    "huge.jsonl": (f"{GOOD}\n{json.dumps({**SETTLED, 'tau': 10**400})}\n", ["line 2", "tau is '1000"]),
    "stranger.jsonl": (f"{GOOD}\n{json.dumps({**SETTLED, 'initiator': 'z'})}\n", ["line 2", "'z'", "not an agent"]),
    "back.jsonl": (GOOD + "\n" + json.dumps(SETTLED | {"step": 1}) + "\n" + json.dumps(SETTLED), ["line 3", "step 0"]),
    "beyond.jsonl": (f"{GOOD}\n{json.dumps({**SETTLED, 'step': 99, 'epoch': 49})}\n", ["line 2", "step 99"]),
    "kind.jsonl": (GOOD + '\n{"event":"explosion","step":0,"epoch":0}\n', ["line 2", "explosion"]),
    "deep.jsonl": (GOOD + "\n" + "[" * 100_000 + "\n", ["line 2", "not an event"]),
    "names.jsonl": (GOOD.replace('"name": "b"', '"name": "a"') + "\n", ["line 1", "two agents"]),
    "ragged.csv": ("scenario_id,seed,epoch,x\ns,1,0\n", ["line 2", "3 cells"]),
    "mixed.csv": ("scenario_id,seed,epoch,x\ns,1,0,1\nt,1,0,1\n", ["several scenarios"]),
    "twice.csv": ("scenario_id,seed,epoch,x\ns,1,0,1\ns,1,0,1\n", ["line 3", "twice"]),
    "value.csv": ("scenario_id,seed,epoch,x\ns,1,0,much\n", ["line 2", "column x", "'much'"]),
    "header.csv": ("scenario_id,seed,epoch,x\n", ["no epochs"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, said = BAD[name]
    path, out = tmp_path / name, tmp_path / "out" / "report.html"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["report", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert error.startswith(f"swarm: {path}")
    assert all(part in error for part in said), error
    assert not out.parent.exists()
