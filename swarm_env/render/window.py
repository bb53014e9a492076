"""The window of the render mode "human"."""

from __future__ import annotations

import os
import sys

import numpy as np
from numpy.typing import NDArray

from swarm_env.render.backend import load_matplotlib


def show(frame: NDArray[np.uint8]) -> None:
    """Put `frame` (H, W, 3) on the screen, in one window for all calls; without a screen, do nothing."""
    load_matplotlib()
    if not (sys.platform in ("win32", "darwin") or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
        return
    try:
        from matplotlib import pyplot

        new = not pyplot.fignum_exists("swarm_env")
        figure = pyplot.figure("swarm_env")  # pyplot keeps it by name, so we need not
        if getattr(figure.canvas, "required_interactive_framework", None) is None:
            return close()
        figure.clear()
        figure.figimage(frame, resize=True)
        if new:
            figure.show()  # once: showing again would raise the window
        figure.canvas.draw_idle()
        figure.canvas.flush_events()
    except Exception:  # toolkits fail each in its own way; a missing screen must not stop a rollout
        close()


def close() -> None:
    """Close the window of `show`, if there is one."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("swarm_env")
