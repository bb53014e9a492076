"""The bases of MACPO's agents: models, or small Llamas that can speak the built-in language and nothing else.

A base made here is kept in the run's folder, so that a run that goes on does not make it again.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import torch

from trainers import checkpoint
from trainers.checkpoint import Tensors
from trainers.language.backbone import Backbone, ModelSettings
from trainers.language.codec import Codec
from trainers.language.loading import load_tokenizer
from trainers.language.macpo_config import Config
from trainers.language.macpo_prompts import is_built_in, speech
from trainers.language.synthetic import model as small
from trainers.language.synthetic.settings import Network
from trainers.language.synthetic.teachers import unaligned
from trainers.language.synthetic.tokenizer import build
from trainers.language.tokenizers import HFCodec
from trainers.macpo_game import drawn


class Bases:
    """A backbone an agent, made or loaded when it is first asked for.

    Args:
        folder: of the run; None: nothing is kept.
    """

    def __init__(self, config: Config, folder: Path | None) -> None:
        self.config, self.folder = config, folder
        self._backbones: dict[str, Backbone] = {}
        self._codecs: dict[str, Codec] = {}
        self._digests: dict[str, str] = {}

    def __getitem__(self, agent: str) -> Backbone:
        """Of student, teacher_1, ..."""
        if agent not in self._backbones:
            self._backbones[agent] = self._made(agent) if is_built_in(self.config) else self._loaded(agent)
        return self._backbones[agent]

    def codec(self, agent: str) -> Codec:
        """How an agent reads and writes; its base need not be there yet."""
        if agent in self._backbones:
            return self._backbones[agent].codec
        if agent not in self._codecs:
            own = is_built_in(self.config)
            self._codecs[agent] = HFCodec(build() if own else load_tokenizer(self._model(agent)))
        return self._codecs[agent]

    def _model(self, agent: str) -> ModelSettings:
        models = self.config.teachers.models
        path = models[int(agent.rpartition("_")[2]) - 1] if models and agent != "student" else self.config.model.path
        return self.config.model.model_copy(update={"path": path})

    def _loaded(self, agent: str) -> Backbone:
        return Backbone.load(self._model(agent))

    def _made(self, agent: str) -> Backbone:
        config, tokenizer = self.config, build()
        layers = config.supervision.student if agent == "student" else config.supervision.teacher
        kept = self.folder / "bases" / f"{agent}.safetensors" if self.folder is not None else None
        if kept is not None and kept.exists():
            weights = checkpoint.read(kept).tensors
        else:
            weights = _taught(config.model_dump_json(include=MAKING), agent)
            if kept is not None:
                checkpoint.write(kept, weights, {"agent": agent})
        model = small.network(tokenizer, layers, 0)
        model.load_state_dict(weights)
        self._digests[agent] = _digest(weights)
        return Backbone.of(model, tokenizer, config.model)

    def digest(self, agent: str) -> str | None:
        """SHA-256 over the weights of a base made here; None of others."""
        return f"{self._digests[agent]} {self.config.model!r}" if self[agent].origin is None else None


#: What bases made here depend on, besides the agent.
MAKING = {"seed", "builtin", "supervision"}


@lru_cache(maxsize=16)
def _taught(settings: str, agent: str) -> Tensors:
    """The weights of a base made here; remembered, since the runs of a study share them."""
    config, tokenizer = Config.model_validate_json(settings), build()
    layers: Network = config.supervision.student if agent == "student" else config.supervision.teacher
    seed = int(torch.randint(2**31, (), generator=drawn(config.seed, 0, f"base of {agent}")))
    own, random = config.builtin, Random(seed)
    model = small.network(tokenizer, layers, seed)
    demonstrations = unaligned(speech(config), config.supervision, own.steps * own.batch, seed)
    small.fit(model, small.batches(tokenizer, iter(demonstrations), own.batch, random), own.steps, own.learning_rate)
    return {name: value.detach().clone() for name, value in _tensors(model)}


def _tensors(model: Any) -> list[tuple[str, torch.Tensor]]:
    return list(model.state_dict().items())


def _digest(weights: Tensors) -> str:
    whole = hashlib.sha256()
    for name in sorted(weights):
        whole.update(name.encode())
        whole.update(weights[name].contiguous().numpy().tobytes())
    return whole.hexdigest()
