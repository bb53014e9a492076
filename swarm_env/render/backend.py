"""matplotlib, loaded late: its Figure and Agg canvas, never pyplot.

Rendering in a training loop then opens no window, registers no figure that nobody closes, and leaves the user's
backend alone. Only `show` needs pyplot.
"""

from __future__ import annotations

from typing import Any


def load_matplotlib() -> Any:
    """matplotlib with Figure and Agg, without pyplot; loaded late, since it takes half a second.

    Raises ImportError, naming the extra to install, where it is missing."""
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    except ModuleNotFoundError as error:
        message = 'drawing needs matplotlib, which is not installed: pip install "swarm-env[plot]"'
        raise ImportError(message, name="matplotlib") from error
    return matplotlib
