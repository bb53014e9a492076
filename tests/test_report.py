"""`swarm report`: what the page holds, that nothing from a file can act in it, and what is refused."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import math
import random
import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import swarm_env
from swarm_env.cli import main
from swarm_env.report import ReportError, page, render, report
from swarm_env.report.estimate import estimate
from swarm_env.report.markup import embed
from tests.report_logs import close, evaluation, long_log, scenario_event, settlement, write

HOSTILE = '</script x><script>alert(1)</script><!--<script><img src=x onerror="alert(2)">'


class Page(HTMLParser):
    """Elements and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.raw: list[str] = []  # scripts and styles
        self.feed(text)
        self.data = json.loads(next(raw for raw in self.raw if raw.startswith("{")))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        inside = self.tags and self.tags[-1][0] in ("script", "style") and self.cdata_elem
        (self.raw if inside else self.texts).append(data)

    @property
    def rows(self) -> list[str]:
        return [text.strip() for text in self.texts if text.strip()]


def cells_after(shown: Page, *cells: str) -> list[str]:
    """The ten cells that follow these, which stand side by side in a table."""
    rows = shown.rows
    at = next(i for i in range(len(rows)) if rows[i : i + len(cells)] == list(cells))
    return rows[at + len(cells) : at + len(cells) + 10]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """strict_governance over three seeds, in a folder."""
    folder = tmp_path_factory.mktemp("runs")
    from swarm_env.simulate import run_seeds

    run_seeds(swarm_env.load_scenario("strict_governance"), [1, 2, 3], folder)
    return folder


@pytest.fixture(scope="module")
def shown(runs: Path) -> Page:
    return Page(render([runs]))


def log_of(runs: Path) -> list[list[dict[str, Any]]]:
    """The log's events, a list a run."""
    found: list[list[dict[str, Any]]] = []
    for line in (runs / "strict_governance_events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "run":
            found.append([])
        found[-1].append(event)
    return found


def test_every_event_reaches_the_player(runs: Path, shown: Page) -> None:
    episodes = shown.data["episodes"]
    assert [e["label"] for e in episodes] == [f"strict_governance, seed {seed}" for seed in (1, 2, 3)]
    for events, episode in zip(log_of(runs), episodes, strict=True):
        settled = [event for event in events if event["event"] == "settlement"]
        table = episode["settled"]
        assert len(table["step"]) == len(settled) > 20
        for i, event in enumerate(settled):
            assert episode["agents"][table["a"][i]] == event["initiator"]
            assert table["step"][i] == event["step"]
            assert table["payoff_a"][i] == pytest.approx(event["payoff_a"], rel=1e-5)
            assert table["conducts"][table["conduct"][i]] == event["conduct"]
        charged = sum(len(event["costs"]) for event in settled)
        assert sum(len(rows) for rows, _, _ in episode["costs"].values()) == charged > 0
        others = [e for e in events if e["event"] not in ("run", "scenario", "settlement", "epoch")]
        marks = episode["marks"]
        assert [shown.data["kinds"][kind] for kind in marks["kind"]] == [event["event"] for event in others]


def test_who_is_held_agrees_with_the_standings_at_each_close(runs: Path, shown: Page) -> None:
    frozen = 0
    for events, episode in zip(log_of(runs), shown.data["episodes"], strict=True):
        for event in (e for e in events if e["event"] == "epoch"):
            held = {agent for agent, _, start, end in episode["held"] if start <= event["step"] <= end}
            assert held == {i for i, is_held in enumerate(event["frozen"]) if is_held}
            frozen += len(held)
    assert frozen > 10


def test_the_summary_is_the_mean_over_seeds_of_the_means_over_epochs(runs: Path, shown: Page) -> None:
    by_seed: dict[str, list[float]] = defaultdict(list)
    for row in csv.DictReader((runs / "strict_governance_metrics.csv").read_text().splitlines()):
        if row["toxicity_rate"]:
            by_seed[row["seed"]].append(float(row["toxicity_rate"]))
    means = [math.fsum(values) / len(values) for values in by_seed.values()]
    seeds, mean, interval, sd = cells_after(shown, "toxicity_rate", "strict_governance")[:4]
    assert (seeds, mean) == ("3", f"{math.fsum(means) / 3:.4g}")
    assert float(sd) == pytest.approx(math.sqrt(sum((m - math.fsum(means) / 3) ** 2 for m in means) / 2), rel=1e-3)
    low, high = map(float, interval.strip("[]").split(", "))
    assert min(means) - 1e-4 <= low < float(mean) < high <= max(means) + 1e-4


def test_criteria_are_those_of_the_run(runs: Path, shown: Page) -> None:
    verdicts = [swarm_env.run("strict_governance", seed, out=None).verdicts for seed in (1, 2, 3)]
    assert verdicts[0]
    for position, first in enumerate(verdicts[0]):
        passed = sum(of_seed[position].passed for of_seed in verdicts)
        cells = cells_after(shown, first.name, "strict_governance")
        assert cells[2:4] == [f"{passed} of 3", "pass" if passed == 3 else "FAIL"]


def test_returns_and_roles_are_what_the_agents_earned(runs: Path, shown: Page) -> None:
    earned: list[dict[str, float]] = []
    for events in log_of(runs):
        total: dict[str, float] = defaultdict(float)
        for e in events:
            if e["event"] == "settlement":
                total[e["initiator"]] += e["payoff_a"] if e["accepted"] else -e["c_a"]
                total[e["counterparty"]] += e["payoff_b"] if e["accepted"] else -e["c_b"]
            total[e.get("agent", "")] += e.get("pay", 0.0) - (e["resources"] if e["event"] == "penalty" else 0.0)
        earned.append(total)
    honest = [[total[f"honest_{k}"] for k in (1, 2, 3)] for total in earned]
    (returns,) = (row for row in shown.data["returns"] if row["name"] == "honest")
    assert returns["values"] == pytest.approx([value for values in honest for value in values], rel=1e-5, abs=1e-9)
    (role,) = (row for row in shown.data["roles"] if row["name"] == "honest")
    assert role["value"][0] == pytest.approx(sum(map(sum, honest)) / 9, rel=1e-5)
    (payoffs,) = (row for row in shown.data["payoffs"] if row["name"] == "honest")
    assert math.fsum(payoffs["mean"]) == pytest.approx(role["value"][0], rel=1e-4)  # epochs add up to the return


def test_estimates_by_hand() -> None:
    import numpy as np

    e = estimate(np.array([1.0, 2.0, np.nan, 6.0]))
    assert (e.n, e.mean) == (3, 3.0)
    assert e.sd == pytest.approx(math.sqrt(7))
    assert 1 <= e.low < 3 < e.high <= 6
    assert math.isnan(estimate(np.array([4.0])).low)
    assert estimate(np.array([])).n == 0


def test_two_runs_are_compared_seed_by_seed(tmp_path: Path) -> None:
    header = "scenario_id,seed,epoch,toxicity_rate,net_social_welfare\n"
    (tmp_path / "a_metrics.csv").write_text(header + "a,1,0,.2,1\na,2,0,.3,2\na,3,0,.4,\n")
    (tmp_path / "b_metrics.csv").write_text(header + "b,2,0,.5,3\nb,3,0,.8,5\nb,4,0,.9,5\n")
    shown = Page(render([tmp_path]))
    difference, _, effect = cells_after(shown, "toxicity_rate", "b", "2")[:3]  # two seeds shared: .5 - .3, .8 - .4
    assert float(difference) == pytest.approx(0.3)
    assert float(effect) == pytest.approx(0.3 / math.sqrt(0.02), rel=1e-3)
    (plot,) = shown.data["pareto"]
    assert [p["x"][0] for p in plot["points"]] == pytest.approx([0.7, 1 - (0.5 + 0.8 + 0.9) / 3], rel=1e-5)
    assert [p["label"] for p in plot["points"]] == ["a", "b"]
    assert not shown.data["episodes"]


def test_an_evaluation_is_shown(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(json.dumps(evaluation(), indent=1))
    shown = Page(render([tmp_path / "e.json"]))
    row = cells_after(shown, "toxicity_rate", "ours", "x")
    assert row[:6] == ["3", "0.2", "[0.125, 0.275]", "0.1", "0.2", "[0.1, 0.3]"]
    assert cells_after(shown, "spread", "ours", "x")[:3] == ["0", "–", "–"]
    row = cells_after(shown, "toxicity_rate", "ours", "random", "x")
    assert row[:6] == ["3", "−0.0625", "[−0.5, 0.25]", "−1.5", "0.0312", "0.125"]
    assert cells_after(shown, "toxicity_threshold", "ours in x, resident")[:2] == ["2 of 3", "FAIL"]
    (plot,) = shown.data["pareto"]
    assert [p["x"][0] for p in plot["points"]] == pytest.approx([0.8, 0.8])
    assert {row["of"] for row in shown.data["roles"]} == {"e: ours in x", "e: random in x"}
    assert Page(render([tmp_path])).data["pareto"] == shown.data["pareto"]  # found in its folder, too


def test_an_overseers_part_is_shown_where_there_is_one(tmp_path: Path) -> None:
    path, whole = tmp_path / "e.json", evaluation()
    (row, _), (pair,) = whole["summary"], whole["comparisons"]
    nothing = {**dict.fromkeys(row), "n": 0}
    rows, pairs = [], []
    for metric, known in (("feedback_trigger_rate", {"n": 3, "mean": 0.25}), ("revisions_per_decision", {})):
        rows.append({**nothing, **known, "policy": "pair", "scenario": "x", "metric": metric})
        rows.append({**nothing, "policy": "random", "scenario": "x", "metric": metric})
        pairs.append({**pair, **dict.fromkeys(("difference", "low", "high", "p")), "n": 0, "metric": metric})
    changed = {"summary": [*whole["summary"], *rows], "comparisons": [pair, *pairs]}
    path.write_text(json.dumps(evaluation(schema="swarm-evaluation/2", **changed)))
    shown = Page(render([path]))
    assert cells_after(shown, "feedback_trigger_rate", "pair", "x")[:3] == ["3", "0.25", "–"]
    assert cells_after(shown, "feedback_trigger_rate", "random", "x")[:3] == ["0", "–", "–"]
    assert shown.rows.count("feedback_trigger_rate") == 2  # no comparison: the baseline has none
    assert "revisions_per_decision" not in shown.rows
    assert cells_after(shown, "toxicity_rate", "ours", "random", "x")[:2] == ["3", "−0.0625"]


def test_a_training_run_is_shown(tmp_path: Path) -> None:
    for name, text in {
        "run.json": "{}", "config.yaml": "a: 1", "metrics.csv": "step,episode/return,loss/x\n10,,1\n20,3.5,2\n",
        "evaluation.json": json.dumps(
            {"scenario": "s", "first_seed": 0, "policies": [{"policy": "ppo", "episodes": 8, "return": [1, 0.5, 2]}]}
        ),
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    for given in (tmp_path, tmp_path / "metrics.csv", tmp_path.parent):
        shown = Page(render([given]))
        curve = next(c for c in shown.data["curves"] if c["label"] == tmp_path.name)
        assert (curve["along"], curve["x"]) == ("step", [10, 20])
        assert curve["metrics"]["episode/return"]["mean"] == [None, 3.5]
        assert cells_after(shown, "return", "ppo", "s")[:3] == ["8", "1", "[0.5, 2]"]


def test_a_freeze_that_is_prolonged_is_one_freeze(tmp_path: Path) -> None:
    """Steps 0..7 in epochs of two: frozen in step 0 until epoch 2, in step 1 until epoch 3; out as epoch 3 opens."""
    events = [scenario_event(["a", "b"], 4, 2)]
    for step, kind, more in [(0, "freeze", {"until_epoch": 2}), (1, "freeze", {"until_epoch": 3}), (5, "release", {})]:
        events.append({"event": kind, "epoch": step // 2, "step": step, "agent": "b", **more})
    events[3:3] = [close(0, 2, 2), close(1, 2, 2), close(2, 2, 2)]
    shown = Page(render([write(tmp_path / "x.jsonl", events)]))
    assert shown.data["episodes"][0]["held"] == [[1, 0, 0, 5]]


def test_embedded_json_cannot_end_its_element() -> None:
    content = {HOSTILE: "\u2028&lt;", "]]>": ["<!--", 0.1, None]}
    text = embed(content)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == content
    with pytest.raises(ValueError, match="JSON"):
        embed(math.nan)


def test_nothing_from_a_file_can_act(tmp_path: Path) -> None:
    names = [HOSTILE, "__proto__", "\u2028&lt;b&gt;", "x" * 5000, "' onload='alert(3)"]
    draw = random.Random(1)
    event = settlement(0, 2, names[0], names[1], draw, conduct=HOSTILE, costs={HOSTILE: [1.0, 2.0]})
    opening = scenario_event(names, 1, 2, scenario_id=HOSTILE)
    opening["agents"][0]["archetype"] = HOSTILE
    write(tmp_path / "h_events.jsonl", [opening, event, close(0, 2, 5)])
    (tmp_path / "h_metrics.csv").write_text(
        f'scenario_id,seed,epoch,"{HOSTILE.replace(chr(34), "")}"\n<b>x</b>,1,0,2\n'
    )
    hostile = evaluation()
    for row in (*hostile["runs"], *hostile["summary"], *hostile["comparisons"]):
        row.update(policy=HOSTILE, scenario=HOSTILE)
    hostile["versions"] = {HOSTILE: HOSTILE}
    (tmp_path / "e.json").write_text(json.dumps(hostile))
    text = render([tmp_path], title=HOSTILE)
    shown = Page(text)
    tags = [tag for tag, _ in shown.tags]
    assert tags.count("script") == 2
    assert not {"img", "iframe", "object", "b", "form", "base"} & set(tags)
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on")]
    assert "alert(1)" in text  # it is there, as text
    (episode,) = shown.data["episodes"]
    assert episode["agents"] == names
    assert list(episode["costs"]) == [HOSTILE]
    assert text.count("</script>") == 2


def test_the_page_allows_itself_and_no_network(runs: Path, shown: Page) -> None:
    policy = next(a["content"] for tag, a in shown.tags if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "connect-src" not in rules  # so default-src holds
    style, _, script = shown.raw
    for source, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[source] == f"'sha256-{digest}'"
    for _, attributes in shown.tags:
        assert "style" not in attributes
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))


def test_assets_write_text_not_markup() -> None:
    for name in page.SCRIPTS:
        text = page.asset(name)
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|Function\(|fetch\(|</", text
        ), name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        assert len(text.splitlines()) < 300


def cut(runs: Path, tmp_path: Path, keep: int) -> Path:
    """The log as a run that was killed leaves it, after `keep` bytes."""
    path = tmp_path / "killed_events.jsonl"
    path.write_bytes((runs / "strict_governance_events.jsonl").read_bytes()[:keep])
    return path


def test_a_killed_run_is_shown_as_far_as_it_went(runs: Path, tmp_path: Path) -> None:
    whole = (runs / "strict_governance_events.jsonl").read_bytes()
    start = whole.index(b'"event":"settlement"')
    for keep in range(start, len(whole), len(whole) // 9):
        shown = Page(render([cut(runs, tmp_path, keep)]))
        lines = [line for line in whole[:keep].split(b"\n")[:-1] if line.startswith(b'{"event":"settlement"')]
        assert sum(len(e["settled"]["step"]) for e in shown.data["episodes"]) in (len(lines), len(lines) + 1)
        episode = shown.data["episodes"][-1]
        if not episode["complete"]:
            assert episode["label"].endswith("(incomplete)")
            assert any("is incomplete" in text and "epochs closed" in text for text in shown.rows)
            assert not any(end > episode["last"] for *_, end in episode["held"])


def test_what_finds_no_room_in_the_player_is_named(runs: Path) -> None:
    first = len(Page(render([runs])).data["episodes"][0]["settled"]["step"])
    shown = Page(render([runs], room=first * 30))
    assert 0 < len(shown.data["episodes"]) + len(shown.data["leftOut"]) == 3
    none = Page(render([runs], room=0))
    assert none.data["episodes"] == []
    assert sum("Not in the player" in text for text in none.rows) == 3


def test_wrong_arguments_leave_an_earlier_report_alone(runs: Path, tmp_path: Path) -> None:
    out = report(runs, tmp_path / "r.html")
    before = out.read_bytes()
    (tmp_path / "empty").mkdir()
    for given, target, said in [
        ("nowhere", out, "no such file"), (tmp_path / "empty", out, "holds nothing"),
        (runs, tmp_path / "r.txt", ".html"), (runs, tmp_path / "x.html" / "y.html" / "..", ".html"),
    ]:  # fmt: skip
        with pytest.raises(ReportError, match=said):
            report(given, target)
    with pytest.raises(ReportError, match="nothing to report on"):
        report([], out)
    with pytest.raises(ReportError, match="0 or more"):
        report(runs, out, room=-1)
    with pytest.raises(ValueError, match="cannot be written"):
        report(runs, out / "below.html")
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "r.html"]


def test_one_seed_from_two_files_is_no_two_seeds(runs: Path) -> None:
    """Log and CSV side by side are one run; naming both, or one twice, changes nothing."""
    log, table = runs / "strict_governance_events.jsonl", runs / "strict_governance_metrics.csv"
    (curve,) = Page(render([log, table, log, runs])).data["curves"]
    assert curve["n"] == 3
    assert curve == Page(render([log])).data["curves"][0]
    from_table = Page(render([table])).data["curves"][0]
    assert from_table == curve


def test_runs_of_one_name_are_told_apart(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    text = (runs / "strict_governance_metrics.csv").read_text()
    (tmp_path / "again" / "strict_governance_metrics.csv").write_text(text)
    curves = Page(render([runs, tmp_path])).data["curves"]
    assert [c["label"] for c in curves] == [f"strict_governance ({runs.name})", "strict_governance (again)"]


def test_a_network_is_laid_out_and_its_scenario_judged(tmp_path: Path) -> None:
    swarm_env.run(swarm_env.load_scenario("collusion_detection", ["simulation.n_epochs=2"]), out=tmp_path)
    shown = Page(render([tmp_path]))
    network = shown.data["episodes"][0]["network"]
    assert len(network["at"]) == 8
    assert len(network["edges"]) == 16  # k_neighbors 4 over 8 agents
    assert not any("does not load" in text for text in shown.rows)
    settled = shown.data["episodes"][0]["settled"]
    edges = {tuple(sorted(edge)) for edge in network["edges"]}
    assert {tuple(sorted(pair)) for pair in zip(settled["a"], settled["b"], strict=True)} <= edges


def test_the_command_writes_the_file(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "r.html"
    assert main(["report", str(runs), "--out", str(out), "--title", "A & B", "--player-events", "10"]) == 0
    assert capsys.readouterr().out == f"wrote {out}\n"
    assert "<h1>A &amp; B</h1>" in out.read_text(encoding="utf-8")
    assert [p.name for p in out.parent.iterdir()] == ["r.html"]


def test_a_long_log_is_embedded_whole(tmp_path: Path) -> None:
    log = long_log(tmp_path / "long_events.jsonl", epochs=2, steps=500, names=["a", "b", "c"])
    (episode,) = Page(render([log])).data["episodes"]
    assert len(episode["settled"]["step"]) == 2000
    assert len(episode["marks"]["step"]) == 3000
