"""The market as text, for the render mode "ansi"."""

from __future__ import annotations

import numpy as np

from swarm_env.render.snapshot import Snapshot, number

MAX_LINES = 40  # agents, and dealings, that draw_ansi lists


def _bar(reputation: float) -> str:
    """-1..1 as `[...##|.....]`, zero in the middle."""
    filled = round(float(np.clip(np.nan_to_num(reputation), -1, 1)) * 5)
    return f"[{('#' * -filled).rjust(5, '.')}|{('#' * filled).ljust(5, '.')}]"


def _agent_line(s: Snapshot, i: int, width: int, color: bool) -> str:
    status = "+".join(word for word, on in (("frozen", s.frozen[i]), ("quarantined", s.quarantined[i])) if on)
    wealth, reward = number(s.resources[i], ".2f"), number(s.rewards[i], "+.3f")
    line = (
        f"{s.names[i]:<{width}}  {_bar(s.reputation[i])} {number(s.reputation[i], '+.3f'):>6}  "
        f"{wealth:>9}  {status or 'active':<18}  {reward:>8}"
    )
    return f"\x1b[{31 if s.quarantined[i] else 36}m{line}\x1b[0m" if color and status else line


def draw_ansi(snapshot: Snapshot, color: bool = False) -> str:
    """The market as lines of ASCII: header, agents, dealings. With `color`, escape codes mark who is held."""
    s, n = snapshot, len(snapshot.names)
    width = max(5, *(len(name) for name in s.names[:MAX_LINES]))
    lines = [
        f"{s.scenario_id}  epoch {s.epoch} of {s.num_epochs}  step {s.step} of {s.steps_per_epoch}  "
        f"toxicity {number(s.toxicity)}  mean p {number(s.mean_p)}",
        f"{'agent':<{width}}  {'reputation':<20}  {'resources':>9}  {'status':<18}  {'reward':>8}",
    ]
    lines += [_agent_line(s, i, width, color) for i in range(min(n, MAX_LINES))]
    lines += [f"... and {n - MAX_LINES} more"] if n > MAX_LINES else []
    lines += [f"dealings: {len(s.deals) or 'none'}"]
    lines += [
        f"  {s.names[deal.initiator]} -> {s.names[deal.counterparty]} "
        f"p={number(deal.p).removeprefix('0')} {deal.status}"
        for deal in s.deals[:MAX_LINES]
    ]
    lines += [f"  ... and {len(s.deals) - MAX_LINES} more"] if len(s.deals) > MAX_LINES else []
    return "\n".join(lines) + "\n"
