"""What the settings of all trainers have in common, and those of trainers of the market game."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from swarm_env.scenario.settings import Fault, Section, faulty, load_settings
from trainers.games.live import GROUPS
from trainers.games.market import check_shares


class RunSettings(Section):
    """Fields of these names mean the same in every trainer."""

    @field_validator("overrides", "learners", "hidden", mode="before", check_fields=False)
    @classmethod
    def as_tuple(cls, value: Any) -> Any:
        """YAML has lists; one of something need not be a list."""
        return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else value

    @field_validator("model", mode="before", check_fields=False)
    @classmethod
    def named(cls, value: Any) -> Any:
        """A path alone is a language model."""
        return {"path": value} if isinstance(value, str) else value

    @field_validator("hidden", check_fields=False)
    @classmethod
    def sized(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        """Refuse networks that no machine could hold."""
        if len(value) > 8 or not all(1 <= units <= 4096 for units in value):
            raise faulty(Fault((), f"{list(value[:9])} are no layers", "at most 8 whole numbers in [1, 4096]"))
        return value

    @property
    def fingerprint(self) -> str:
        """SHA-256 (16 hex digits) over every setting."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:16]


def module_of(games: Mapping[str, str], game: str) -> Any:
    """The module of a game, of games by name.

    Raises:
        ImportError: what it needs is not installed; names the extra.
    """
    try:
        return import_module(games[game])
    except ModuleNotFoundError as error:
        raise ImportError(f"game {game}: needs {error.name}: pip install 'swarm-env[llm]'") from error


def game_of(games: Mapping[str, str], path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> str:
    """The game that a YAML file of settings, or an override, names; the first where none is named.

    Raises:
        ScenarioError: no such game, or no such file.
    """

    class Which(Section):
        """The one setting that says what the others are."""

        model_config = ConfigDict(extra="ignore")
        game: str = Field(default=next(iter(games)), description="what is played")

        @field_validator("game")
        @classmethod
        def known(cls, value: str) -> str:
            if value not in games:
                raise faulty(Fault((), f"there is no game {value!r}", ", ".join(games)))
            return value

    of_game = [text for text in overrides if text.partition("=")[0].strip() == "game"]
    return load_settings(Which, path, of_game, example=f"game: {next(iter(games))}").game


def load_of_game(games: Mapping[str, str], path: str | os.PathLike[str] | None, overrides: Sequence[str]) -> Any:
    """The settings of a YAML file, "key=value" overrides applied: a `Config` of the game that its `game` names.

    Args:
        games: module of each game, by name; the first is meant where none is named.

    Raises:
        ScenarioError: says what is wrong with it. ImportError: see `module_of`.
    """
    game = game_of(games, path, overrides)
    return load_settings(module_of(games, game).Config, path, overrides, example=f"game: {game}")


class MarketGameSettings(RunSettings):
    """Of trainers whose contexts come from `trainers.games.market`."""

    scenario: str = Field(
        default="alignment_waltz_targeted_feedback", min_length=1, description="a YAML file, or a shipped scenario's id"
    )
    overrides: tuple[str, ...] = Field(
        default=(),
        description="of the scenario's settings",
        json_schema_extra={"allowed": "a list of key.path=value, as in [governance.audit_enabled=false]"},
    )
    population_spread: float = Field(default=0.5, ge=0, le=100, description="how far around; 0: only the scenario's")
    shares: dict[str, float] = Field(
        default={"disguised": 0.3, "overt": 0.2, "sensitive": 0.2, "plain": 0.3},
        description="of the kinds of proposals among contexts; {} as the markets have them",
        json_schema_extra={"allowed": "disguised, overt, sensitive, plain: numbers in [0, 1] that add up to 1"},
    )

    @field_validator("shares", check_fields=False)
    @classmethod
    def whole(cls, value: dict[str, float]) -> dict[str, float]:
        """Refuse shares of unknown kinds, and those that do not add up."""
        try:
            check_shares(value or {"any": 1.0})
        except ValueError as error:
            raise faulty(Fault((), str(error), "kinds and shares that add up to 1")) from error
        return value

    @field_validator("num_envs", check_fields=False)
    @classmethod
    def grouped(cls, value: int) -> int:
        """Refuse what cannot be cut into groups."""
        if value % GROUPS:
            raise faulty(Fault((), f"{value} is not a multiple of {GROUPS}", f"a multiple of {GROUPS}"))
        return value
