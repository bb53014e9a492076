"""What the settings of all trainers have in common, and those of trainers of the market game."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import field_validator

from swarm_env.scenario.settings import Fault, Section, faulty
from trainers.games.live import GROUPS
from trainers.games.market import check_shares


class RunSettings(Section):
    """Fields of these names mean the same in every trainer."""

    @field_validator("overrides", "learners", "hidden", mode="before", check_fields=False)
    @classmethod
    def as_tuple(cls, value: Any) -> Any:
        """YAML has lists; one of something need not be a list."""
        return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else value

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


class MarketGameSettings(RunSettings):
    """Of trainers whose contexts come from `trainers.games.market`."""

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
