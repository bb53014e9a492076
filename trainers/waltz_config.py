"""The settings of `swarm train waltz`: those of the method, and those of the market game."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from swarm_env.scenario.settings import Section
from trainers import rewards
from trainers.games.live import GROUPS
from trainers.games.market import Sees
from trainers.settings import MarketGameSettings, RunSettings, load_of_game
from trainers.warm_start import Config as WarmStart

VariantName = Literal["A", "B", "C", "D", "L"]

#: What WaltzRL can be trained in, and the module of each: see `trainers.waltz_market` for what it holds.
GAMES: dict[str, str] = {"market": "trainers.waltz_market", "language": "trainers.language.waltz"}


class Stage(Section):
    """A stage of training; `Stage1` and `Stage2` say what they are unless told otherwise."""

    steps: int = Field(default=0, ge=0, le=1_000_000, description="updates; 0 leaves the stage out")
    variant: VariantName = Field(default="A", description="terms of R_f, see trainers.rewards.VARIANTS")


class Stage1(Stage):
    """``stage1:``."""

    steps: int = Field(default=100, ge=0, le=1_000_000, description="updates; 0 leaves the stage out")


class Stage2(Stage):
    """``stage2:``."""

    steps: int = Field(default=150, ge=0, le=1_000_000, description="updates; 0 leaves the stage out")
    variant: VariantName = Field(default="B", description="terms of R_f, see trainers.rewards.VARIANTS")


class Settings(RunSettings):
    """WaltzRL's, whatever the game. A game that wants another default says so in a field of its own."""

    game: str = Field(default="market", description="what it is trained in, see GAMES")
    overseer: bool = Field(default=True, description="false: single-policy RL, without a feedback policy")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="of weights, draws and markets")

    stage1: Stage1 = Field(
        default_factory=Stage1, description="feedback policy alone; the conversation policy is frozen"
    )
    stage2: Stage2 = Field(default_factory=Stage2, description="both together")
    alpha: float = Field(default=0.65, ge=0, le=100, description="weight of the dynamic improvement reward")
    lam: float = Field(default=0.25, ge=0, le=100, description="weight of the label reward")
    gamma: float = Field(default=0.1, ge=0, le=100, description="weight of the format reward")
    needless_penalty: float = Field(default=0.0, ge=0, le=100, description="price of asking to revise a right answer")
    t_max: int = Field(default=1, ge=1, le=16, description="most revisions of an answer")
    revision_share: float = Field(default=0.5, ge=0, le=1, description="how often a last revision is learnt from")
    feedback_reference: Literal["initial", "stage1"] = Field(
        default="initial", description="of the feedback policy's KL term in stage 2"
    )

    batch: int = Field(default=2048, ge=2, le=10_000_000, description="contexts of an update")
    minibatches: int = Field(default=4, ge=1, le=10_000, description="parts that a batch is cut into")
    update_epochs: int = Field(default=1, ge=1, le=1000, description="passes over a batch")
    learning_rate: float = Field(default=5e-3, gt=0, le=1, description="Adam's, at the start")
    anneal: bool = Field(default=True, description="let the learning rate fall to 0 in a straight line, in each stage")
    beta: float = Field(default=0.01, ge=0, le=10, description="weight of the KL term")
    clip: float = Field(default=0.2, gt=0, le=10, description="of the probability ratio")
    max_grad_norm: float = Field(default=1.0, gt=0, le=1e6, description="gradients are clipped to this norm")
    threads: int = Field(default=1, ge=1, le=256, description="of torch; with a busy neighbour two are slower than one")
    checkpoint_every: int = Field(default=25, ge=1, le=10**9, description="updates between two checkpoints")

    @property
    def weights(self) -> rewards.Weights:
        """Of the terms of R_f."""
        return rewards.Weights(self.alpha, self.lam, self.gamma)


class Config(Settings, MarketGameSettings):
    """configs/waltz.yaml."""

    game: Literal["market"] = Field(
        default="market", description="what it is trained in", json_schema_extra={"allowed": ", ".join(GAMES)}
    )
    populations: int = Field(default=64, ge=1, le=65_536, description="populations drawn around the scenario's")
    num_envs: int = Field(default=1024, ge=16, le=1_000_000, description=f"markets, a multiple of {GROUPS}")
    actor_sees: Sees = Field(default="surface", description="what of a proposal the conversation policy sees")
    hidden: tuple[int, ...] = Field(
        default=(64, 64),
        description="units of the layers of either policy",
        json_schema_extra={"allowed": "a list of at most 8 whole numbers in [1, 4096]"},
    )
    warm_start: WarmStart = Field(default_factory=WarmStart, description="where both policies start")
    eval_episodes: int = Field(default=256, ge=0, le=65_536, description="governed markets at the end; 0 for none")


def load_config(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> Any:
    """The configuration of a YAML file, "key=value" overrides applied; ScenarioError names what is wrong with it."""
    return load_of_game(GAMES, path, overrides)
