"""The report in a real browser: Debian's Chromium, driven without a head by Playwright.

Skipped, with the reason, where there is no browser or no Playwright. SWARM_CHROMIUM names another executable.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import swarm_env
from swarm_env.report import report
from tests.report_logs import evaluation, long_log

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = os.environ.get("SWARM_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = pytest.mark.skipif(not os.path.exists(CHROMIUM), reason=f"no browser: {CHROMIUM} is not there")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

Event = dict[str, Any]
Log = list[Event]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run with freezes, quarantines and failed audits, one in a network, one evaluation."""
    folder = tmp_path_factory.mktemp("runs")
    audits = ["governance.audit_enabled=true", "governance.audit_probability=1"]
    strict = swarm_env.load_scenario("security_evaluation", [*audits, "simulation.n_epochs=12"])
    swarm_env.run(strict, out=folder)
    swarm_env.run(swarm_env.load_scenario("collusion_detection", ["simulation.n_epochs=3"]), out=folder)
    (folder / "e.json").write_text(json.dumps(evaluation()))
    report(folder, folder / "r.html")
    return folder


@pytest.fixture(scope="module")
def log(folder: Path) -> Log:
    lines = (folder / "security_evaluation_events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


class Watched:
    """A page on which nothing may go wrong: no message on the console, no request but for the file itself."""

    def __init__(self, browser: Any, file: Path, width: int = 1280, **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.uri = file.as_uri()

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, kind: object, *_: object) -> None:
        self.page.close()
        if kind is None:
            assert self.said == []
            assert [url for url in self.asked if not url.startswith(("blob:", "data:"))] == [self.uri]


def part(page: Any, name: str) -> Any:
    return page.locator(f"[data-part={name}]")


def choose(page: Any, scenario: str) -> None:
    """Its episode, in the player and in the timeline."""
    for picker in (part(page, "episode"), page.locator("[data-figure=timeline] select")):
        picker.select_option(
            label=next(o for o in picker.locator("option").all_inner_texts() if o.startswith(scenario))
        )


def step_shown(page: Any) -> int:
    found = re.match(r"Step (\d+) of \d+, epoch \d+ of \d+$", part(page, "now").inner_text())
    assert found is not None
    return int(found[1])


def go(page: Any, step: int) -> None:
    part(page, "scrubber").fill(str(step))
    assert step_shown(page) == step


def at_step(log: Log, kind: str, step: int) -> Log:
    return [event for event in log if event["event"] == kind and event["step"] == step]


def settled_steps(log: Log) -> list[int]:
    return sorted({event["step"] for event in log if event["event"] == "settlement"})


def test_arrows_are_the_settlements_of_the_step(browser: Any, folder: Path, log: Log) -> None:
    with Watched(browser, folder / "r.html") as page:
        choose(page, "security_evaluation")
        steps = settled_steps(log)
        for step in [0, *steps[:: max(1, len(steps) // 15)], steps[-1]]:
            go(page, step)
            events = at_step(log, "settlement", step)
            arrows = page.locator("[data-deal]")
            assert arrows.count() == len(events)
            names = [f"{e['initiator']} to {e['counterparty']}," for e in events]
            for i, name in enumerate(names):
                assert (arrows.nth(i).get_attribute("aria-label") or "").startswith(name)
            accepted = page.locator('[data-deal][data-status="accepted"]').count()
            assert accepted == sum(e["accepted"] for e in events)
            others = [e for e in log if e.get("step") == step and e["event"] not in ("settlement", "epoch")]
            said = part(page, "count").inner_text()
            assert re.match(rf"{len(events)} dealings? settled, {len(others)} other events?$", said)


def test_an_arrow_is_coloured_by_p(browser: Any, folder: Path, log: Log) -> None:
    events = [event for event in log if event["event"] == "settlement"]
    low, high = (pick(events, key=lambda e: e["p"]) for pick in (min, max))
    blueness = []
    with Watched(browser, folder / "r.html") as page:
        choose(page, "security_evaluation")
        for event in (low, high):
            go(page, event["step"])
            index = at_step(log, "settlement", event["step"]).index(event)
            colour = page.locator("[data-deal]").nth(index).locator("path").nth(2).get_attribute("stroke")
            red, blue = int(colour[1:3], 16), int(colour[5:7], 16)
            blueness.append(blue - red)
    assert blueness[0] < -40 < 40 < blueness[1]


def test_the_breakdown_is_the_event(browser: Any, folder: Path, log: Log) -> None:
    event = next(e for e in log if e["event"] == "settlement" and e["costs"] and e["accepted"])
    index = at_step(log, "settlement", event["step"]).index(event)
    with Watched(browser, folder / "r.html") as page:
        choose(page, "security_evaluation")
        go(page, event["step"])
        assert "Point at an arrow" in part(page, "details").inner_text()
        page.locator("[data-deal]").nth(index).focus()
        by_focus = part(page, "details").inner_text()
        terms = part(page, "details").locator("dt").all_inner_texts()
        values = part(page, "details").locator("dd").all_inner_texts()
        shown = {term: values[2 * i : 2 * i + 2] for i, term in enumerate(terms)}
        go(page, event["step"])
        page.locator("[data-deal]").nth(index).dispatch_event("mouseenter")
        assert part(page, "details").inner_text() == by_focus
    assert f"{event['initiator']} → {event['counterparty']}" in by_focus
    number = lambda text: float(text.replace("\u2212", "-"))  # noqa: E731
    for term, pair in {
        "payoff": ("payoff_a", "payoff_b"), "costs c": ("c_a", "c_b"), "reputation r": ("r_a", "r_b"),
        "p (as offered)": ("p", "p_offer"), "signal, v_hat": ("signal", "v_hat"),
    }.items():  # fmt: skip
        assert [number(text) for text in shown[term]] == pytest.approx([event[k] for k in pair], rel=1e-3, abs=1e-9)
    assert number(shown["tau, received"][1]) == pytest.approx(event["tau"], rel=1e-3, abs=1e-9)
    for lever, pair in event["costs"].items():
        assert [number(text) for text in shown[f"cost: {lever}"]] == pytest.approx(pair, rel=1e-3, abs=1e-9)


def test_freezes_and_quarantines_are_marked_while_they_last(browser: Any, folder: Path, log: Log) -> None:
    closes = [event for event in log if event["event"] == "epoch"]
    names = [agent["name"] for agent in log[1]["agents"]]
    marked = {"frozen": 0, "quarantined": 0}
    with Watched(browser, folder / "r.html") as page:
        choose(page, "security_evaluation")
        for event in closes:
            go(page, event["step"])
            held: dict[str, set[str]] = {"frozen": set(), "quarantined": set()}
            for kind in held:
                for node in page.locator(f"[data-agent]:has([data-mark={kind}])").all():
                    held[kind].add(names[int(node.get_attribute("data-agent") or -1)])
                    marked[kind] += 1
            expected = {kind: {n for n, on in zip(names, event[kind], strict=True) if on} for kind in held}
            assert held["quarantined"] == expected["quarantined"]
            assert held["frozen"] | held["quarantined"] == expected["frozen"]  # the log's frozen includes quarantined
        signs = {e["agent"] for e in log if e["event"] == "audit"}
        assert page.locator("[data-figure=timeline] [data-sign=audit]").count() >= len(signs) > 0
        assert page.locator("[data-figure=timeline] [data-held=quarantined]").count() > 0
    assert min(marked.values()) > 0


def test_the_keyboard_is_enough(browser: Any, folder: Path, log: Log) -> None:
    epoch = log[1]["scenario"]["simulation"]["steps_per_epoch"]
    with Watched(browser, folder / "r.html") as page:
        choose(page, "security_evaluation")
        last = int(part(page, "scrubber").get_attribute("max") or 0)
        part(page, "box").focus()
        for key, step in [
            ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("PageDown", 1 + epoch), ("PageUp", 1),
            ("End", last), ("ArrowRight", last), ("Home", 0), ("ArrowLeft", 0),
        ]:  # fmt: skip
            page.keyboard.press(key)
            assert step_shown(page) == step
        page.keyboard.press("n")
        kinds = ("audit", "violation", "freeze", "quarantine", "release")
        assert step_shown(page) == min(e["step"] for e in log if e["event"] in kinds and e["step"] > 0)
        part(page, "scrubber").focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert step_shown(page) == 1  # once, not by slider and player both
        page.keyboard.press("Space")
        sync_api.expect(part(page, "now")).to_have_text(re.compile(r"Step ([3-9]|\d\d) "))
        assert part(page, "play").get_attribute("aria-label") == "Pause"
        page.keyboard.press("Space")
        stopped = step_shown(page)
        page.wait_for_timeout(600)
        assert step_shown(page) == stopped
        go(page, settled_steps(log)[0])
        part(page, "box").focus()
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.hasAttribute('data-deal')"))
            if reached[-1]:
                break
        assert reached[-1]
        sync_api.expect(page.locator("[data-deal]:focus .aura")).to_have_css("opacity", "0.6")
        page.keyboard.press("ArrowRight")  # the arrow goes, the focus stays in the player
        assert page.evaluate("document.activeElement.dataset.part") == "box"
        part(page, "box").focus()
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_controls_have_names_and_the_page_a_language(browser: Any, folder: Path) -> None:
    with Watched(browser, folder / "r.html") as page:
        assert page.evaluate("document.documentElement.lang") == "en"
        nameless = page.evaluate(
            "[...document.querySelectorAll('button,select,input,[role=button],[role=img],[role=group],[role=region]')]"
            ".filter(e => !(e.getAttribute('aria-label') || e.textContent).trim()).map(e => e.outerHTML.slice(0, 80))"
        )
        assert nameless == []
        assert part(page, "scrubber").get_attribute("aria-valuetext") == part(page, "now").inner_text()


NOTE_STEPS = """
window.steps = [];
const now = document.querySelector("[data-part=now]");
const changes = {childList: true, characterData: true, subtree: true};
new MutationObserver(() => window.steps.push(now.textContent)).observe(now, changes);
"""


def test_play_pauses_at_the_end_and_goes_on_from_the_start(browser: Any, folder: Path) -> None:
    with Watched(browser, folder / "r.html") as page:
        last = int(part(page, "scrubber").get_attribute("max") or 0)
        part(page, "speed").select_option("83")
        go(page, last - 2)
        part(page, "play").click()
        sync_api.expect(part(page, "now")).to_have_text(re.compile(f"Step {last} "))
        assert part(page, "play").get_attribute("aria-label") == "Play"
        page.evaluate(NOTE_STEPS)  # a step is there for a twelfth of a second: a busy machine would miss it
        part(page, "play").click()
        sync_api.expect(part(page, "play")).to_have_attribute("aria-label", "Play", timeout=60_000)  # at the end again
        assert [text.split()[:2] for text in page.evaluate("window.steps")[:3]] == [["Step", str(k)] for k in range(3)]


def test_less_motion_where_it_is_asked_for(browser: Any, folder: Path) -> None:
    for wish, speed, moves in (("reduce", "1000", "0s"), ("no-preference", "250", "0.12s")):
        with Watched(browser, folder / "r.html", reduced_motion=wish) as page:
            assert part(page, "speed").input_value() == speed
            aura = "getComputedStyle(document.querySelector('.stage .aura')).transitionDuration"
            assert page.evaluate(aura) == moves


def test_a_network_can_be_shown_as_a_ring(browser: Any, folder: Path) -> None:
    where = (
        "[...document.querySelectorAll('[data-agent] .aura')].map(e => [+e.getAttribute('cx'), +e.getAttribute('cy')])"
    )
    with Watched(browser, folder / "r.html") as page:
        choose(page, "security_evaluation")
        assert not part(page, "layout").is_visible()
        choose(page, "collusion_detection")
        assert page.locator("[data-edges]").count() == 1
        before = page.evaluate(where)
        part(page, "layout").click()
        after = page.evaluate(where)
        assert len(before) == len(after) == 8
        assert before != after
        xs, ys = zip(*after, strict=True)
        middle = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
        radii = (max(xs) - min(xs)) / 2, (max(ys) - min(ys)) / 2
        for x, y in after:
            assert ((x - middle[0]) / radii[0]) ** 2 + ((y - middle[1]) / radii[1]) ** 2 == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_screen(browser: Any, folder: Path, log: Log, width: int) -> None:
    with Watched(browser, folder / "r.html", width) as page:
        choose(page, "security_evaluation")
        go(page, settled_steps(log)[0])
        page.locator("[data-deal]").first.focus()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        inside = page.evaluate(
            "[...document.querySelectorAll('.stage text, .art text')].every(t => { const a = t.getBoundingClientRect(),"
            " b = t.closest('svg').getBoundingClientRect(); return a.left >= b.left - 1 && a.right <= b.right + 1; })"
        )
        assert inside
        small = "Math.min(...[...document.querySelectorAll('.stage text, .art text')].map(t => {"
        small += (
            " const g = t.closest('svg'); return 12 * g.getBoundingClientRect().width / g.viewBox.baseVal.width; }))"
        )
        assert page.evaluate(small) >= 11  # words keep their size where the figure shrinks


def test_every_figure_downloads_as_svg_and_png(browser: Any, folder: Path) -> None:
    with Watched(browser, folder / "r.html") as page:
        kinds = page.evaluate("[...document.querySelectorAll('[data-figure]')].map(e => e.dataset.figure)")
        assert set(kinds) == {"curve-epoch", "pareto", "returns", "roles", "payoffs", "timeline"}
        for kind in (*sorted(set(kinds)), None):
            place = page.locator(f"[data-figure={kind}]").first if kind else part(page, "box")
            with page.expect_download() as got:
                place.locator("[data-download=svg]").first.click()
            svg = Path(got.value.path()).read_text(encoding="utf-8")
            assert svg.startswith("<?xml")
            assert 'xmlns="http://www.w3.org/2000/svg"' in svg
            assert re.fullmatch(r"[a-z0-9_]+\.svg", got.value.suggested_filename)
            with page.expect_download() as got:
                place.locator("[data-download=png]").first.click()
            png = Path(got.value.path()).read_bytes()
            assert png.startswith(b"\x89PNG")
            assert struct.unpack(">II", png[16:24])[0] >= 1900
            assert len(png) > 5000  # not a blank sheet


def test_a_curve_shows_the_metric_that_is_chosen(browser: Any, folder: Path) -> None:
    with Watched(browser, folder / "r.html") as page:
        panel = page.locator("[data-figure=curve-epoch]").first
        panel.locator("select").select_option("posts")
        assert panel.locator("svg").get_attribute("aria-label") == "posts by epoch"
        assert panel.locator("svg > g > path[stroke]").count() == 2  # a line for each of the two runs


def test_a_click_on_the_timeline_moves_the_player(browser: Any, folder: Path) -> None:
    with Watched(browser, folder / "r.html") as page:
        svg = page.locator("[data-figure=timeline] svg")
        svg.scroll_into_view_if_needed()
        box = svg.bounding_box()
        assert box is not None
        svg.click(position={"x": box["width"] * 0.6, "y": 30})
        last = int(part(page, "scrubber").get_attribute("max") or 0)
        assert 0.35 * last < step_shown(page) < 0.7 * last


def test_a_killed_run_is_marked_incomplete(browser: Any, folder: Path, tmp_path: Path) -> None:
    whole = (folder / "security_evaluation_events.jsonl").read_bytes()
    (tmp_path / "k_events.jsonl").write_bytes(whole[: len(whole) // 2])
    with Watched(browser, report(tmp_path, tmp_path / "k.html")) as page:
        assert re.match(r"Incomplete: the log ends at step \d+ of \d+\.", part(page, "incomplete").inner_text())
        page.keyboard.press("Tab")
        part(page, "box").focus()
        page.keyboard.press("End")
        assert step_shown(page) == int(part(page, "scrubber").get_attribute("max") or 0)
    with Watched(browser, folder / "r.html") as page:
        assert not part(page, "incomplete").is_visible()


def test_hostile_names_are_shown_as_text(browser: Any, tmp_path: Path) -> None:
    evil = '<img src=x onerror="document.title=1"></script x><script>document.title=2</script>'
    long_log(tmp_path / "h_events.jsonl", 1, 4, [evil, "b", "constructor"])
    hostile = evaluation()
    for row in (*hostile["runs"], *hostile["summary"]):
        row["policy"] = evil
    for row in hostile["runs"]:  # what every object of JavaScript answers to
        row["returns"] = {"constructor_1": 1.0, "__proto__": 2.0, "toString": 3.0}
        row["roles"] = {"constructor": 1.0, "__proto__": 2.0}
    (tmp_path / "e.json").write_text(json.dumps(hostile))
    (tmp_path / "t_metrics.csv").write_text("scenario_id,seed,epoch,constructor,__proto__\nt,1,0,1,2\nt,1,1,2,3\n")
    with Watched(browser, report(tmp_path, tmp_path / "h.html", title=evil)) as page:
        for name in ("constructor", "__proto__"):
            page.locator("[data-figure=curve-epoch] select").first.select_option(name)
            assert page.locator("[data-figure=curve-epoch] svg").first.get_attribute("aria-label") == f"{name} by epoch"
        assert page.title() == evil
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 2
        assert evil[:20] in part(page, "happened").inner_text()
        page.locator("[data-agent]").first.focus()
        assert evil in part(page, "details").inner_text()


def test_without_a_log_there_is_no_player(browser: Any, folder: Path) -> None:
    for given, links in (
        (folder / "e.json", ["Figures", "Tables", "Files"]),
        (folder, ["Player", "Figures", "Tables", "Files"]),
    ):
        with Watched(browser, report(given, folder / "part.html")) as page:
            assert [a.inner_text() for a in page.locator("nav a").all() if a.is_visible()] == links
            assert page.locator("[data-part=box]").count() == len(links) - 3


def test_a_band_breaks_where_one_seed_is_left(browser: Any, tmp_path: Path) -> None:
    """x of epochs 0..6 over two seeds; epochs 3 and 5 have one value, so a mean and no sd: band, bars, one line."""
    gone = {(2, 3), (2, 5)}
    rows = [f"s,{i},{epoch},{'' if (i, epoch) in gone else i * epoch}" for i in (1, 2) for epoch in range(7)]
    (tmp_path / "s_metrics.csv").write_text("scenario_id,seed,epoch,x\n" + "\n".join(rows) + "\n")
    with Watched(browser, report(tmp_path, tmp_path / "r.html")) as page:
        assert page.locator("[data-band]").count() == 1  # epochs 0 to 2
        assert page.locator("[data-bar]").count() == 2  # epochs 4 and 6
        line = page.locator("[data-figure=curve-epoch] svg > g > path[fill=none]").first.get_attribute("d")
        assert (line.count("M"), line.count("L")) == (1, 6)


def test_a_market_too_large_to_draw_shows_who_acts(browser: Any, tmp_path: Path) -> None:
    log = long_log(tmp_path / "crowd_events.jsonl", 1, 20, [f"agent_{i}" for i in range(1000)])
    with Watched(browser, report(log, tmp_path / "r.html"), 400) as page:
        assert 2 <= page.locator("[data-agent]").count() <= 7  # four dealings' ends, two voters, one who posts
        assert page.locator("[data-deal]").count() == 2
        assert "of 1000 agents" in part(page, "stage").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_hundred_thousand_events_open_in_seconds(browser: Any, tmp_path: Path) -> None:
    log = long_log(tmp_path / "long_events.jsonl", 20, 1000, ["a", "b", "c", "d", "e"])
    with log.open() as lines:
        assert sum(1 for _ in lines) > 100_000
    file = report(log, tmp_path / "long.html")
    began = time.monotonic()
    with Watched(browser, file) as page:
        part(page, "now").wait_for()
        assert step_shown(page) == 0
        opened = time.monotonic() - began
        began = time.monotonic()
        for step in (19_999, 10_000, 5):
            go(page, step)
            assert page.locator("[data-deal]").count() == 2
        moved = time.monotonic() - began
    assert opened < 10  # about 1 s on an idle core
    assert moved < 5
