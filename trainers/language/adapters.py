"""LoRA adapters (Hu et al. 2021) on one frozen model: one at work at a time, none outside of a `with`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn

from trainers.checkpoint import RunError

ALL_LINEAR = "all-linear"  #: every linear layer but the output's


class Adapters:
    """The adapters of a model.

    peft puts the layers in and computes them; switching is ours, since peft's `set_adapter` freezes every adapter but
    one, and a frozen parameter loses its gradient silently where a backward pass comes after the switch.

    Args:
        model: a PreTrainedModel; all of it is frozen.
        rank, alpha: r and alpha: a layer adds (alpha / r) B A x.
        targets: names of linear layers, or ("all-linear",).
    """

    def __init__(self, model: Any, rank: int, alpha: float, targets: tuple[str, ...]) -> None:
        self.model, self.rank, self.alpha, self.targets = model, rank, alpha, targets
        self.tuner: Any = None
        self.layers: dict[str, Any] = {}  # peft's LoraLayers, by their names in the model
        self.names: list[str] = []
        self.active: str | None = None
        model.requires_grad_(False)

    def config(self) -> Any:
        """A new LoraConfig."""
        from peft import LoraConfig

        targets: Any = ALL_LINEAR if self.targets == (ALL_LINEAR,) else list(self.targets)
        # GPT-2's linear layers (Conv1D) hold their weights the other way round
        transposed = any(type(module).__name__ == "Conv1D" for module in self.model.modules())
        return LoraConfig(
            r=self.rank, lora_alpha=self.alpha, target_modules=targets, lora_dropout=0.0, bias="none",
            task_type="CAUSAL_LM", fan_in_fan_out=transposed,
        )  # fmt: skip

    def add(self, name: str, seed: int) -> None:
        """A new adapter that changes nothing yet: A uniform as peft has it, from the seed alone, and B = 0.

        Raises:
            RunError: the name is taken or unusable, or the targets are no linear layers of this model.
        """
        if name in self.names or not re.fullmatch(r"\w+", name):
            raise RunError(f"{name!r} cannot name a new adapter: taken, or not of letters, digits and _ alone")
        with torch.random.fork_rng(devices=[]):  # peft fills them from the global generator first
            self._inject(name)
        generator = Generator().manual_seed(seed)
        for layer in self.layers.values():
            for matrix in (layer.lora_A[name], layer.lora_B[name]):
                fresh = torch.zeros(matrix.weight.shape, dtype=torch.float32)  # in any model: updates are small
                if matrix is layer.lora_A[name]:
                    nn.init.kaiming_uniform_(fresh, a=math.sqrt(5), generator=generator)
                matrix.weight = nn.Parameter(fresh.to(matrix.weight.device))
        self.names.append(name)
        self._after_change()

    def _inject(self, name: str) -> None:
        from peft.tuners.lora import LoraLayer, LoraModel

        try:
            if self.tuner is None:
                self.tuner = LoraModel(self.model, self.config(), name)
            else:
                self.tuner.peft_config[name] = self.config()
                self.tuner.inject_adapter(self.model, name)
        except ValueError as error:
            raise RunError(f"lora_targets {list(self.targets)}: {error}") from error
        self.layers = {key: module for key, module in self.model.named_modules() if isinstance(module, LoraLayer)}
        if not all(name in layer.lora_A for layer in self.layers.values()):
            raise RunError(f"lora_targets {list(self.targets)}: not all of them are linear layers")

    def _after_change(self) -> None:
        self.model.eval()  # what peft puts in is in training mode
        for layer in self.layers.values():
            for name in self.names:
                layer.lora_A[name].requires_grad_(True)
                layer.lora_B[name].requires_grad_(True)
        self._switch(self.active)

    def remove(self, name: str) -> None:
        """Forget an adapter. It must not be at work."""
        if name == self.active:
            raise RunError(f"adapter {name!r} is at work")
        self._known(name)
        self.tuner.delete_adapter(name)
        self.names.remove(name)
        self._after_change()

    def _known(self, name: str) -> None:
        if name not in self.names:
            raise RunError(f"no adapter {name!r}; there are: {', '.join(self.names) or 'none'}")

    @contextmanager
    def use(self, name: str | None) -> Iterator[None]:
        """The model with this adapter, or with none; whatever happens, afterwards as before."""
        if name is not None:
            self._known(name)
        before = self.active
        try:
            self._switch(name)
            yield
        finally:
            self._switch(before)

    def _switch(self, name: str | None) -> None:
        self.active = name
        for layer in self.layers.values():
            layer._disable_adapters = name is None
            layer._active_adapter = [] if name is None else [name]

    def named(self, name: str) -> dict[str, nn.Parameter]:
        """Its parameters, by the names that peft's files have after "base_model.model."."""
        self._known(name)
        parts = ("lora_A", "lora_B")
        return {f"{key}.{part}.weight": getattr(layer, part)[name].weight
                for key, layer in self.layers.items() for part in parts}  # fmt: skip

    def moved(self, name: str) -> bool:
        """Whether it changes anything: some B is not 0."""
        return any(bool(value.detach().count_nonzero()) for key, value in self.named(name).items() if "lora_B" in key)

    def copy(self, name: str, new: str) -> None:
        """A new adapter of the same weights."""
        self.add(new, seed=0)
        self.load(new, self.named(name))

    @torch.no_grad()
    def load(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Give an adapter these weights.

        Raises:
            RunError: they are another model's, or of another rank.
        """
        own = self.named(name)
        if own.keys() != tensors.keys():
            odd = min(own.keys() ^ tensors.keys())
            raise RunError(f"adapter {name!r}: its layers are not those of the weights given ({odd!r} is in one alone)")
        for key, value in own.items():
            if value.shape != tensors[key].shape:
                given = list(tensors[key].shape)
                raise RunError(f"adapter {name!r}: {key} has shape {list(value.shape)}, the weights given {given}")
            value.copy_(tensors[key])
