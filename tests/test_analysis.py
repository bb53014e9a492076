"""`swarm analyze`: numbers by hand, what the text shows, and one clear line for every bad input."""

import math
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_env import analysis
from swarm_env.analysis import AnalysisError, analyze, render_text, sparkline

HEAD = "scenario_id,seed,epoch,toxicity_rate,quality_gap,spread\n"
WALTZ = HEAD + "waltz,101,0,0.2,,0\nwaltz,101,1,0.4,,0\nwaltz,101,2,,,0\nwaltz,101,3,0.6,0.25,0\n"


@pytest.fixture
def write(tmp_path):
    def put(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put


def failure(*args: object, **kwargs: object) -> str:
    with pytest.raises(AnalysisError) as caught:
        analyze(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_summary_by_hand(write):
    run = analyze(write("waltz_metrics.csv", WALTZ)).runs[0]
    s = run.summary("toxicity_rate")
    assert (run.scenario_id, run.seeds, run.epochs.tolist()) == ("waltz", (101,), [0, 1, 2, 3])
    assert s.mean == pytest.approx(0.4)
    assert s.sd == pytest.approx(0.2)
    assert (s.undefined, s.rows) == (1, 4)
    assert s.slope == pytest.approx(0.6 / (14 / 3))  # x - mean = -4/3, -1/3, 5/3; y - mean = -.2, 0, .2
    assert s.change == pytest.approx(0.4)


def test_one_defined_epoch_has_a_mean_and_nothing_else(write):
    s = analyze(write("a.csv", WALTZ)).runs[0].summary("quality_gap")
    assert (s.mean, s.undefined) == (0.25, 3)
    assert all(math.isnan(v) for v in (s.sd, s.seed_sd, s.slope, s.change))


def test_flat_metric_has_no_trend(write):
    s = analyze(write("a.csv", WALTZ)).runs[0].summary("spread")
    assert (s.mean, s.sd, s.slope, s.change) == (0, 0, 0, 0)


def test_seeds_are_averaged_within_an_epoch(write):
    rows = "m,1,0,0.2,,1\nm,2,0,0.4,,1\nm,2,1,,,1\nm,1,1,0.4,,1\n"
    result = analyze(write("a.csv", HEAD + rows))
    run = result.runs[0]
    assert analysis.mean(run.values["toxicity_rate"]) == pytest.approx([0.3, 0.4])
    np.testing.assert_allclose(analysis.sd(run.values["toxicity_rate"]), [math.sqrt(0.02), math.nan])
    s = run.summary("toxicity_rate")
    assert s.mean == pytest.approx(0.35)
    assert s.seed_sd == pytest.approx(math.sqrt(0.005))  # seed means .3 and .4
    assert (s.undefined, s.rows) == (1, 4)
    text = render_text(result, encoding="utf-8")
    assert "0.3000 ± 0.1414" in text
    assert "0.4000 ±      -" in text
    assert "2 seeds (1, 2)" in text
    assert "averaged" in text


def test_a_row_that_is_missing_is_not_an_undefined_one(write):
    run = analyze(write("a.csv", HEAD + "m,1,0,0.2,,1\nm,1,1,0.2,,1\nm,2,0,0.4,,1\n")).runs[0]
    assert (run.summary("toxicity_rate").undefined, run.summary("toxicity_rate").rows) == (0, 3)


def test_text_of_one_file(write):
    text = render_text(analyze(write("a.csv", WALTZ), "toxicity_rate,quality_gap"), encoding="utf-8")
    lines = text.splitlines()
    assert lines[0].startswith("waltz: 4 epochs, seed 101, ")
    assert lines[2].split() == ["epoch", "toxicity_rate", "quality_gap"]
    assert [line.split() for line in lines[3:7]] == [
        ["0", "0.2000", "-"],
        ["1", "0.4000", "-"],
        ["2", "-", "-"],
        ["3", "0.6000", "0.2500"],
    ]
    assert lines[8].split() == ["metric", "mean", "sd", "undef", "slope", "change", "trend"]
    assert lines[9].split()[:6] == ["toxicity_rate", "0.4000", "0.2000", "1/4", "+0.128571", "+0.4000"]
    assert lines[10].split()[:6] == ["quality_gap", "0.2500", "-", "3/4", "-", "-"]
    assert "\x1b" not in text
    assert "\x1b[1m" in render_text(analyze(write("b.csv", WALTZ)), color=True)


def test_files_side_by_side(write):
    first = write("a.csv", WALTZ)
    second = write("b.csv", HEAD + "macpo,7,1,0.5,0.1,0\nmacpo,7,4,0.7,0.1,0\n")
    text = render_text(analyze([first, second], ["toxicity_rate"]), encoding="utf-8")
    rows = [line.split() for line in text.splitlines()]
    assert any("[1] waltz" in line and "[2] macpo" in line for line in text.splitlines())
    assert ["1", "0.4000", "0.5000"] in rows
    assert ["4", "0.7000"] in rows  # the first file has no epoch 4: blank, not "-"
    row = next(row for row in rows if row[:2] == ["toxicity_rate", "[2]"])
    assert row[2:4] == ["0.6000", "+0.2000"]  # mean, and its difference to .4


@pytest.mark.parametrize("width", [40, 60, 80])
def test_wide_tables_are_split_not_cut(write, width):
    paths = [write(f"{name}.csv", WALTZ.replace("waltz", name)) for name in ("a", "b", "c")]
    lines = render_text(analyze(paths), width=width, encoding="utf-8").splitlines()
    tables = [line for line in lines if line[:5].strip().isdigit() or line.startswith("epoch")]
    assert max(map(len, tables)) <= width
    titles = [line.split() for line in lines if line.startswith("epoch")]
    assert sum(title.count("spread") for title in titles) == 3
    assert len(titles) > 1


def test_sparkline():
    nan = math.nan
    assert sparkline(np.array([0.0, 1, nan, 7])) == "▁▂ █"
    assert sparkline(np.array([0.3, 0.1 + 0.2, nan])) == "▄▄ "  # equal but for rounding
    assert sparkline(np.array([nan, nan])) == "  "
    assert sparkline(np.array([0.0, 7]), among=np.array([0.0, 14])) == "▁▅"
    assert sparkline(np.arange(1000.0)) == "".join(sorted(sparkline(np.arange(1000.0))))
    assert len(sparkline(np.arange(1000.0))) == 40


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "no-such-encoding"])
def test_poor_terminals_get_ascii(write, encoding):
    path = write("a.csv", HEAD + "é,1,0,0,,1\né,2,0,1,,1\né,1,1,7,,1\n")
    text = render_text(analyze([path, path]), encoding=encoding)
    assert text.isascii()
    assert "_#" in text
    assert "0.5000 ~ 0.7071" in text
    assert "[1]" in text


def test_control_characters_do_not_reach_the_terminal(write):
    assert analyze(write("a.csv", WALTZ.replace("waltz", "\x1b[2Jw"))).runs[0].scenario_id == "?[2Jw"


@given(st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(math.nan)), min_size=1, max_size=60))
def test_undefined_never_counts(values):
    defined = [v for v in values if not math.isnan(v)]
    mean, sd = float(analysis.mean(np.array(values))), float(analysis.sd(np.array(values)))
    assert math.isnan(mean) if not defined else mean == pytest.approx(statistics.fmean(defined), abs=1e-9)
    assert math.isnan(sd) if len(defined) < 2 else sd == pytest.approx(statistics.stdev(defined), abs=1e-6)
    assert (sparkline(np.array(values)).strip() == "") == (not defined)


def test_missing_file_lists_what_is_there(write):
    here = write("waltz_metrics.csv", WALTZ).parent
    message = failure(here / "walz_metrics.csv")
    assert "no such file" in message
    assert "waltz_metrics.csv" in message.split(";")[1]
    assert "no folder" in failure(here / "none" / "x.csv")
    assert "no *_metrics.csv" in failure(write("sub.txt", "").parent.parent / "x.csv")
    assert "is a directory" in failure(here)
    assert "waltz_metrics.csv" in failure(here)


def test_unknown_metric_lists_nearest_then_all(write):
    message = failure(write("a.csv", WALTZ), "toxicty_rate")
    assert "no metric 'toxicty_rate'; nearest: toxicity_rate; there are: " in message
    assert message.endswith("toxicity_rate, quality_gap, spread")
    assert "no metric 'epoch'" in failure(write("a.csv", WALTZ), ["epoch"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        (HEAD, "has a header but no epochs"),
        ("a,b\n1,2\n", "no column 'epoch' among 'a', 'b'"),
        ("seed,epoch,x\n1,2,3\n", "no column 'scenario_id'"),
        (HEAD.replace("spread", "epoch") + "w,1,0,1,1,1\n", "column 'epoch' stands twice"),
        (HEAD + "w,1,0,high,,0\n", "line 2, column toxicity_rate: 'high' is not a finite number"),
        (HEAD + "w,1,0,1,,0\nw,1,1,inf,,0\n", "line 3, column toxicity_rate: 'inf'"),
        (HEAD + "w,1,0.5,1,,0\n", "line 2, column epoch: '0.5' is not a whole number"),
        (HEAD + "w,1,,1,,0\n", "line 2, column epoch: '' is not a whole number"),
        (HEAD + "w,1," + "9" * 30 + ",1,,0\n", "column epoch"),
        (HEAD + "w,1,0,1,,0\nw,1,1,1\n", "line 3: 4 cells, but the header has 6"),
        (HEAD + "w,1,0,1,,0\nw,1,0,1,,0\n", "line 3: epoch 0 of seed 1 stands twice"),
        (HEAD + "w,1,0,1,,0\nv,1,1,1,,0\n", "several scenarios: 'v', 'w'"),
        (HEAD + 'w,1,0,"1,,0\n', "cannot be read"),
        (b"\x89PNG\r\n\xff\x00", "cannot be read as UTF-8 CSV"),
    ],
)
def test_bad_files(write, text, expected):
    path = write("bad.csv", text)
    message = failure(path)
    assert expected in message
    assert message.startswith(str(path))


def test_bad_requests(write):
    path = write("a.csv", WALTZ)
    assert "no metric given" in failure(path, " , ")
    assert "no metric given" in failure(path, [])
    assert "no metrics file given" in failure([])
    assert "there is no folder" in failure(path, plot=path.parent / "none" / "x.png")
    assert "suffix '.xyz' is none of" in failure(path, plot=path.parent / "x.xyz")
    assert ".png" in failure(path, plot=path.parent / "x")
    (path.parent / "d.png").mkdir()
    assert "is a directory" in failure(path, plot=path.parent / "d.png")


@pytest.mark.parametrize("text", ["\ufeff" + WALTZ, WALTZ.replace("\n", "\r\n"), WALTZ + "\n\n"])
def test_harmless_variations(write, text):
    assert analyze(write("a.csv", text)).runs[0].summary("toxicity_rate").mean == pytest.approx(0.4)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_plot_is_written_whole(write, suffix):
    several = HEAD + "m,1,0,0.2,,1\nm,2,0,0.4,,1\nm,2,1,,,1\nm,1,1,0.4,,1\n"
    path = write("a.csv", WALTZ)
    target = path.parent / f"out{suffix}"
    result = analyze([path, write("b.csv", several)], plot=target)
    assert target.stat().st_size > 2000
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.csv", "b.csv", f"out{suffix}"]
    assert f"Plot written to {target}" in render_text(result)


def test_a_failing_plot_leaves_the_old_one(write, monkeypatch):
    path, target = write("a.csv", WALTZ), write("out.png", "old")
    monkeypatch.setattr(analysis.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    assert "disk full" in failure(path, plot=target)
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.csv", "out.png"]
    assert target.read_text() == "old"


def test_without_matplotlib_only_plots_fail(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = write("a.csv", WALTZ)
    assert analyze(path).metrics == analysis.DEFAULT_METRICS
    assert 'pip install "swarm-env[plot]"' in failure(path, plot=path.parent / "x.png")


def test_importing_and_analysing_loads_no_matplotlib(write):
    code = (
        "import sys; from swarm_env.analysis import analyze, render_text\n"
        "render_text(analyze(sys.argv[1]))\n"
        "print([m for m in ('matplotlib', 'rich') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(write("a.csv", WALTZ))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
