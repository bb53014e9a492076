"""What a trainer plays: one protocol, a file for each game."""

from __future__ import annotations

from trainers.games.protocol import Contexts, Feedback, Game, Labels, Rules

__all__ = ["Contexts", "Feedback", "Game", "Labels", "Rules"]
