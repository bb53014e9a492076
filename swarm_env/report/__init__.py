"""`swarm report`: runs, evaluations and training runs as one HTML file with tables, figures and an episode player."""

from __future__ import annotations

from swarm_env.report.page import ROOM, render, report
from swarm_env.report.sources import ReportError

__all__ = ["ROOM", "ReportError", "render", "report"]
