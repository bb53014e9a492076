"""Drawings of the market: what the text says, and that the pixels follow the snapshot."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from swarm_env.render import Deal, Snapshot, _layout, draw_ansi, draw_rgb, p_colors, show

NAMES = ("honest_1", "honest_2", "honest_3", "opportunistic_1", "opportunistic_2", "deceptive_1", "adversarial_1")


def market(n: int = 7, **changes: object) -> Snapshot:
    names = NAMES if n == 7 else tuple(f"honest_{i + 1}" for i in range(n))
    values = {
        "scenario_id": "waltz",
        "epoch": 3,
        "step": 5,
        "num_epochs": 20,
        "steps_per_epoch": 12,
        "names": names,
        "archetypes": tuple(name.rsplit("_", 1)[0] for name in names),
        "reputation": np.linspace(-1, 1, n),
        "resources": np.full(n, 100.0),
        "frozen": np.zeros(n, bool),
        "quarantined": np.zeros(n, bool),
        "rewards": np.linspace(-0.5, 0.5, n),
        "toxicity": 0.3125,
        "mean_p": float("nan"),
        "deals": (Deal(0, 5, 0.612, True), Deal(1, 2, 0.25, False), Deal(3, 4, 0.5, False, True)),
    }
    return Snapshot(**(values | changes))


def flag(n: int, *indices: int) -> np.ndarray:
    return np.isin(np.arange(n), indices)


def panel(frame: np.ndarray) -> np.ndarray:
    return frame[55:490]  # without title and key


def count(frame: np.ndarray, p: float) -> int:
    """Pixels of the panel in the colour of p."""
    color = np.array(p_colors()(p)[:3]) * 255
    return int((np.abs(panel(frame).astype(float) - color).max(axis=-1) < 3).sum())


def test_ansi_by_hand():
    text = draw_ansi(market(frozen=flag(7, 1, 2), quarantined=flag(7, 2)))
    lines = text.splitlines()
    assert lines[0] == "waltz  epoch 3 of 20  step 5 of 12  toxicity 0.312  mean p -"
    assert lines[1].split() == ["agent", "reputation", "resources", "status", "reward"]
    assert lines[2].split() == ["honest_1", "[#####|.....]", "-1.000", "100.00", "active", "-0.500"]
    assert lines[3].split()[1:5] == ["[..###|.....]", "-0.667", "100.00", "frozen"]
    assert lines[4].split()[4] == "frozen+quarantined"
    assert lines[5].split()[1:3] == ["[.....|.....]", "+0.000"]
    assert lines[8].split()[1:3] == ["[.....|#####]", "+1.000"]
    assert lines[9:] == [
        "dealings: 3",
        "  honest_1 -> deceptive_1 p=.612 accepted",
        "  honest_2 -> honest_3 p=.250 rejected",
        "  opportunistic_1 -> opportunistic_2 p=.500 expired",
    ]
    assert text.isascii()
    assert "\x1b" not in text


def test_ansi_colours_only_when_asked():
    held = market(frozen=flag(7, 1))
    assert draw_ansi(held, color=True).count("\x1b[36m") == 1
    assert draw_ansi(market(), color=True) == draw_ansi(market())


def test_ansi_of_a_large_market_is_cut_and_says_so():
    lines = draw_ansi(market(100, deals=[Deal(0, 1, 1.0, True)] * 43)).splitlines()
    assert lines[2 + 40] == "... and 60 more"
    assert lines[-1] == "  ... and 3 more"
    assert len(lines) == 2 + 40 + 1 + 1 + 40 + 1


def test_ansi_of_undefined_values():
    nan = float("nan")
    text = draw_ansi(market(toxicity=nan, deals=(Deal(0, 1, nan, True),), reputation=np.full(7, nan)))
    assert "toxicity -" in text
    assert "p=- accepted" in text
    assert "nan" not in text
    assert draw_ansi(market(deals=())).endswith("dealings: none\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reputation": np.zeros(6)}, r"Snapshot.reputation has shape \(6,\) for 7 agents"),
        ({"frozen": np.zeros((7, 1), bool)}, "Snapshot.frozen"),
        ({"names": (), "archetypes": ()}, "for 0 agents"),
        ({"deals": (Deal(0, 7, 0.5, True),)}, r"indices in 0\.\.6"),
        ({"deals": (Deal(-1, 0, 0.5, True),)}, r"indices in 0\.\.6"),
        ({"contacts": np.array([[0, 9]])}, r"indices in 0\.\.6"),
        ({"contacts": np.array([0, 1])}, "pairs"),
    ],
)
def test_a_wrong_snapshot_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        market(**changes)


@pytest.mark.parametrize("size", [(640, 640), (64, 65), (577, 431)])
def test_rgb_shape_and_determinism(size):
    frame = draw_rgb(market(), *size)
    assert frame.shape == (size[1], size[0], 3)
    assert frame.dtype == np.uint8
    assert frame.flags.owndata
    assert frame.flags.writeable
    np.testing.assert_array_equal(frame, draw_rgb(market(), *size))
    assert (frame[:, 0] == 255).all()  # the paper is white


def test_every_part_of_the_snapshot_changes_the_picture():
    base = draw_rgb(market())
    changes = {
        "quarantined": flag(7, 3),
        "resources": np.full(7, 200.0),
        "reputation": np.zeros(7),
        "archetypes": ("cautious",) * 7,
        "deals": (),
        "names": tuple(f"agent_{i}" for i in range(7)),
        "contacts": np.array([[0, 3], [1, 4]]),
    }
    for field, value in changes.items():
        assert (panel(draw_rgb(market(**{field: value}))) != panel(base)).any(), field
    for field, value in {"scenario_id": "macpo", "epoch": 4, "step": 6}.items():
        assert (draw_rgb(market(**{field: value}))[:55] != base[:55]).any(), field
    for field, value in {"toxicity": 0.5, "mean_p": 0.5}.items():
        assert (draw_rgb(market(**{field: value}))[600:] != base[600:]).any(), field


def test_a_frozen_agent_is_marked_where_it_stands():
    changed = (draw_rgb(market()) != draw_rgb(market(frozen=flag(7, 0)))).any(axis=-1)
    rows, columns = np.nonzero(changed[:490])
    assert rows.max() < 160  # agent 0 stands at the top
    assert 270 < columns.min() < columns.max() < 370


@pytest.mark.parametrize(("p", "other"), [(0.1, 0.9), (0.9, 0.1), (0.5, 0.1)])
def test_p_is_the_colour_of_the_arrow(p, other):
    frame = draw_rgb(market(deals=(Deal(0, 3, p, True),)))
    assert count(frame, p) > 150
    assert count(frame, other) < 20


def test_status_is_the_dash_of_the_arrow():
    ink = [
        count(draw_rgb(market(deals=(Deal(0, 3, 0.9, accepted, expired),))), 0.9)
        for accepted, expired in ((True, False), (False, False), (False, True))
    ]
    assert ink[0] > ink[1] > ink[2] > 0  # solid, dashed, dotted


def test_repeated_and_returned_dealings_do_not_hide_each_other():
    frame = draw_rgb(market(deals=[Deal(0, 3, 0.05, True), Deal(0, 3, 0.95, True), Deal(3, 0, 0.5, True)]))
    assert min(count(frame, p) for p in (0.05, 0.5, 0.95)) > 150


@pytest.mark.parametrize("n", [1, 2, 24, 25, 65])
def test_any_number_of_agents(n):
    nan = float("nan")
    every = np.ones(n, bool)
    deals = (Deal(0, n - 1, nan, True), Deal(0, 0, 0.5, False))  # an unknown p and a dealing with oneself
    frame = draw_rgb(
        market(
            n,
            deals=deals,
            frozen=every,
            quarantined=every,
            resources=np.full(n, 1e9),
            reputation=np.full(n, nan),
            contacts=np.zeros((0, 2), int),
        )
    )
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 20


def test_odd_names_and_archetypes_are_drawn_as_they_are():
    odd = market(
        scenario_id="$x_" + "y" * 200,
        names=("$a$_1", "_b", *NAMES[2:]),
        archetypes=("$mine", "other", *["learner"] * 5),
    )
    assert draw_rgb(odd).shape == (640, 640, 3)


@pytest.mark.parametrize("n", [7, 64, 65, 100, 101, 1000])
def test_agents_of_equal_wealth_do_not_overlap(n):
    xy, radius, _ = _layout(market(n), 450.0, 330.0, 8.0)
    apart = np.linalg.norm(xy[:, None] - xy[None], axis=-1) + np.diag(np.full(n, np.inf))
    assert apart.min() > 2 * radius.max()


def test_thousands_of_agents_are_drawn_quickly():
    n, rng = 2000, np.random.default_rng(0)
    deals = [
        Deal(int(a), int(b), float(p), p > 0.5)
        for (a, b), p in zip(rng.integers(0, n, (1000, 2)), rng.random(1000), strict=True)
    ]
    large = market(
        n,
        deals=deals,
        contacts=rng.integers(0, n, (20_000, 2)),
        frozen=rng.random(n) < 0.1,
        quarantined=rng.random(n) < 0.1,
    )
    draw_rgb(market())  # matplotlib and its fonts are loaded now
    start = time.process_time()
    draw_rgb(large)
    assert time.process_time() - start < 2.0  # measured .3; an artist per agent would take many seconds


@pytest.mark.parametrize("size", [(63, 640), (640, 8193), (0, 0)])
def test_a_senseless_size_is_refused(size):
    with pytest.raises(ValueError, match=r"64\.\.8192 pixels"):
        draw_rgb(market(), *size)


def test_without_matplotlib_only_pictures_fail(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw_ansi(market()).startswith("waltz")
    for call in (lambda: draw_rgb(market()), lambda: show(np.zeros((64, 64, 3), np.uint8))):
        with pytest.raises(ImportError, match=r'pip install "swarm-env\[plot\]"'):
            call()


HERE = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    "from test_render import *\nfrom swarm_env.render import close\n"
)


def python(code: str, **environ: str) -> str:
    clean = {key: value for key, value in os.environ.items() if "DISPLAY" not in key} | environ
    done = subprocess.run([sys.executable, "-c", HERE + code], capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_drawing_loads_matplotlib_late_and_pyplot_never():
    loaded = "print([m for m in ('matplotlib', 'matplotlib.pyplot') if m in sys.modules])\n"
    out = python(
        "draw_ansi(market())\n"
        + loaded
        + "draw_rgb(market())\n"
        + loaded
        + "show(draw_rgb(market())); close()\n"
        + loaded
    )
    assert out.splitlines() == ["[]", "['matplotlib']", "['matplotlib']"]


@pytest.mark.parametrize("backend", ["agg", "module://no_such_backend"])
def test_show_never_raises_without_a_screen(backend):
    code = "show(np.zeros((64, 64, 3), np.uint8)); close(); print('matplotlib.pyplot' in sys.modules)"
    assert python(code, DISPLAY=":93", MPLBACKEND=backend) == "True"  # it did try


WINDOW = """
import types
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
shown = []
class FigureManager(FigureManagerBase):
    def show(self): shown.append(self)
class FigureCanvas(FigureCanvasAgg):
    required_interactive_framework = "headless"
    manager_class = FigureManager
sys.modules["window"] = types.ModuleType("window")
sys.modules["window"].FigureCanvas, sys.modules["window"].FigureManager = FigureCanvas, FigureManager
import matplotlib
matplotlib.use("module://window")
frame = draw_rgb(market(), 320, 200)
for i in range(5):
    show(frame)
from matplotlib import pyplot
print(pyplot.get_fignums(), len(shown))
pyplot.gcf().canvas.draw()
print(np.abs(np.array(pyplot.gcf().canvas.buffer_rgba())[..., :3].astype(int) - frame).max())
close()
print(pyplot.get_fignums())
"""


def test_show_reuses_one_window():
    assert python(WINDOW, DISPLAY=":93").splitlines() == ["[1] 1", "0", "[]"]
