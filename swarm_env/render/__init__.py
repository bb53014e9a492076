"""Drawings of one moment of the market, for the render modes "ansi", "rgb_array" and "human"."""

from __future__ import annotations

from swarm_env.render.ansi import draw_ansi
from swarm_env.render.backend import load_matplotlib
from swarm_env.render.picture import _layout as _layout
from swarm_env.render.picture import draw_rgb, p_colors
from swarm_env.render.snapshot import Deal, Snapshot
from swarm_env.render.window import close, show

__all__ = ["Deal", "Snapshot", "close", "draw_ansi", "draw_rgb", "load_matplotlib", "p_colors", "show"]
