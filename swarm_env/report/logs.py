"""Event logs, read line by line. A log that ends early is a run that was killed: it is shown as far as it goes."""

from __future__ import annotations

import json
from pathlib import Path

from swarm_env.events import Event
from swarm_env.report.episode import Broken, Episode
from swarm_env.report.sources import ReportError


def _event(path: Path, number: int, line: bytes) -> Event | None:
    """The event of a line; None where the line is a cut-off last one."""
    try:
        event = json.loads(line)
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise ValueError
    except (ValueError, RecursionError):
        if not line.endswith(b"\n"):
            return None
        start = line[:40].decode("utf-8", "replace")
        raise ReportError(
            f"{path}, line {number}: not an event: {start!r}; a log holds one JSON object a line"
        ) from None
    return event


def read_log(path: Path) -> list[Episode]:
    """The episodes of an event log, in order.

    Raises:
        ReportError: naming file and line: a line that is no event, a value that no event may have, no run at all.
    """
    episodes: list[Episode] = []
    number, kind = 0, ""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                event = _event(path, number, line)
                if event is None:
                    break
                kind = str(event["event"])[:40]
                _take(episodes, event)
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror})") from error
    except ReportError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:  # Broken, and what the tally cannot add up
        said = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
        said = " ".join(said.split())[:200]
        raise ReportError(f"{path}, line {number}: a broken {kind!r} event: {said}") from error
    if not episodes:
        raise ReportError(f"{path}: holds no run; a log has a `scenario` line before its first step")
    for episode in episodes:
        episode.finish()
    return episodes


def _take(episodes: list[Episode], event: Event) -> None:
    if event["event"] == "run":
        return
    if event["event"] == "scenario":
        episodes.append(Episode(event, len(episodes)))
    elif not episodes:
        raise Broken("it comes before any `scenario` line")
    else:
        episodes[-1].add(event)
