"""A language model as a policy (`trainers.policies.Policy`): a base, an adapter, and how it is sampled."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, pad

from trainers import distributed
from trainers.checkpoint import RunError
from trainers.language.backbone import Backbone
from trainers.language.codec import PAD
from trainers.language.stopping import StopStrings
from trainers.out_of_memory import out_of_memory
from trainers.policies import Sample


class LanguagePolicy:
    """Prompts int64 (n, P) left-padded with PAD in, sequences int64 (n, L) right-padded with PAD out, L fixed.

    A sequence ends with its end-of-turn token, which is its own; one that was cut, or stopped at a stop string, has
    none. Everything is of softmax(logits / temperature), also log-probabilities; nothing else (top-k,
    top-p, penalties), whatever the model's generation_config says. Results are on the prompts' device.

    Without gradients, work is cut into settings.micro_batch (generation: settings.generate_batch) sequences at a time;
    with gradients a call is one forward pass, and the caller does the cutting.

    Args:
        adapter: its name in the backbone, or None for the base alone, which has no parameters.
        max_new_tokens: L, at least 1.
        temperature: above 0.
        stop_strings: a sequence stops when its text holds one of them; what was sampled stays as it is.

    Raises:
        RunError: an unknown adapter.
    """

    def __init__(
        self, backbone: Backbone, adapter: str | None, max_new_tokens: int, *, temperature: float = 1.0,
        stop_strings: Sequence[str] = (),
    ) -> None:  # fmt: skip
        if max_new_tokens < 1 or not temperature > 0:
            raise ValueError(f"max_new_tokens {max_new_tokens}, temperature {temperature}: at least 1, above 0")
        if isinstance(stop_strings, str) or not all(stop_strings):
            raise ValueError(f"stop_strings {stop_strings!r}: a list of texts, none of them empty")
        if adapter is not None:
            backbone.adapters.named(adapter)
        self.backbone, self.adapter = backbone, adapter
        self.max_new_tokens, self.temperature, self.stop_strings = max_new_tokens, temperature, tuple(stop_strings)
        self._forget: weakref.finalize[Any, Any] | None = None

    @torch.no_grad()
    def sample(self, contexts: Tensor, generator: Generator) -> Sample:
        """See `Policy.sample`. The log-probabilities are those of `log_prob`."""
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        device = self.backbone.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            tokens = self._generate(contexts, draw=True)
        return Sample(tokens, self.log_prob(contexts, tokens), tokens != PAD)

    @torch.no_grad()
    def greedy(self, contexts: Tensor) -> Tensor:
        """See `Policy.greedy`."""
        return self._generate(contexts, draw=False)

    def log_prob(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """See `Policy.log_prob`; 0 where there is no token."""
        size = self.backbone.settings.micro_batch
        with out_of_memory("model.micro_batch", size):
            if torch.is_grad_enabled():
                return self._forward(contexts, tokens)
            parts = [self._forward(contexts[k], tokens[k]) for k in self._parts(len(contexts), size)]
            return torch.cat([torch.zeros(0, tokens.shape[1], device=tokens.device), *parts])

    def parameters(self) -> list[Any]:
        """The adapter's; none without one."""
        return [] if self.adapter is None else list(self.backbone.adapters.named(self.adapter).values())

    def copy(self) -> Self:
        """See `Policy.copy`.

        An adapter that changes nothing yet costs nothing: the copy is the base alone, and cannot be trained until
        `load_state_dict` gives it weights. Else the adapter is copied in the same backbone, and forgotten with the
        policy that holds it.
        """
        adapters = self.backbone.adapters
        name = self.adapter
        if name is not None:
            name = self.backbone.copy_adapter(name) if adapters.moved(name) else None
        new = type(self)(
            self.backbone, name, self.max_new_tokens, temperature=self.temperature, stop_strings=self.stop_strings
        )
        if name is not None:
            new._own(name)
        return new

    def _own(self, name: str) -> None:
        self._forget = weakref.finalize(self, self.backbone.drop_adapter, name)
        self._forget.atexit = False

    def drop(self) -> None:
        """Forget a copy's adapter now; the policy is of no use afterwards. Others' adapters stay."""
        if self._forget is not None:
            self._forget()

    def state_dict(self) -> dict[str, Any]:
        """The adapter's weights, named as in peft's files; {} of the base alone."""
        if self.adapter is None:
            return {}
        return {name: value.detach() for name, value in self.backbone.adapters.named(self.adapter).items()}

    def load_state_dict(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights from `state_dict`; {} makes it speak as the base does.

        Raises:
            RunError: weights of another model, or of another rank.
        """
        if self.adapter is None and weights:
            adapters = self.backbone.adapters
            self.adapter = self.backbone.new_name("base")
            adapters.add(self.adapter, seed=0)
            self._own(self.adapter)
        if self.adapter is None:
            return
        held = self.backbone.adapters.named(self.adapter)
        # with B = 0 an adapter adds nothing, whatever its A
        silent = {name: torch.zeros_like(value) if "lora_B" in name else value for name, value in held.items()}
        self.backbone.adapters.load(self.adapter, weights or silent)

    def _parts(self, count: int, size: int) -> Iterator[slice]:
        """Rows to work on at a time; a sharded model needs all ranks at every pass, with or without rows."""
        passes = -(-count // size)
        if self.backbone.sharded:
            passes = distributed.all_max(passes)
        for k in range(passes):
            yield slice(k * size, (k + 1) * size)

    def _forward(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """One pass; (n, L)."""
        count, length = tokens.shape
        if not count and not self.backbone.sharded:
            return torch.zeros(0, length, device=tokens.device)
        if not count:  # take part in the pass of the others
            contexts, tokens = contexts.new_zeros(1, 1), tokens.new_zeros(1, length)
        prompts = _trimmed(contexts)
        said = tokens[:, : max(int((tokens != PAD).sum(dim=1).max()), 1)]
        joined = torch.cat([prompts, said], dim=1).to(self.backbone.device)
        mask = joined != PAD
        ids = joined.masked_fill(~mask, self.backbone.codec.pad)
        with self.backbone.adapter(self.adapter):
            logits = self.backbone.logits(ids, mask, said.shape[1])
        own = mask[:, -said.shape[1] :]
        # float32, and only where something was said: a vocabulary is wide
        asked = ids[:, -said.shape[1] :][own]
        values = -cross_entropy(logits[own].float() / self.temperature, asked, reduction="none")
        table = torch.zeros(own.shape, device=values.device).masked_scatter(own, values)
        return pad(table, (0, length - said.shape[1]))[:count].to(tokens.device)

    def _generate(self, contexts: Tensor, draw: bool) -> Tensor:
        size = self.backbone.settings.generate_batch
        with out_of_memory("model.generate_batch", size):
            parts = [self._continue(contexts[k], draw) for k in self._parts(len(contexts), size)]
        return torch.cat([contexts.new_zeros(0, self.max_new_tokens), *parts])

    def _continue(self, contexts: Tensor, draw: bool) -> Tensor:
        """Generate from at most generate_batch prompts, int64 (n, L)."""
        from transformers import GenerationConfig

        codec, count = self.backbone.codec, len(contexts)
        if not count:  # as in _forward
            contexts = contexts.new_zeros(1, 1)
        prompts = _trimmed(contexts).to(self.backbone.device)
        mask = prompts != PAD
        self.backbone.check_length(prompts.shape[1] + self.max_new_tokens)
        stop = StopStrings(codec, self.stop_strings, prompts)
        chosen: dict[str, Any] = {"temperature": self.temperature, "top_k": 0, "top_p": 1.0} if draw else {}
        config = GenerationConfig(
            max_new_tokens=self.max_new_tokens, do_sample=draw, num_beams=1, use_cache=True,
            eos_token_id=list(codec.ends), pad_token_id=codec.pad, **chosen,
        )  # fmt: skip
        with self.backbone.adapter(self.adapter), _finite():
            whole = self.backbone.model.generate(
                prompts.masked_fill(~mask, codec.pad), attention_mask=mask.long(), generation_config=config,
                stopping_criteria=[stop] if self.stop_strings else None, synced_gpus=self.backbone.sharded,
            )  # fmt: skip
        said = whole[:, prompts.shape[1] :]
        ends = torch.isin(said, torch.tensor(codec.ends, device=said.device))
        before = ends.long().cumsum(dim=1) - ends.long()  # ends before this position
        column = torch.arange(said.shape[1], device=said.device)
        said = said.masked_fill((before > 0) | (column >= stop.lengths[:, None]), PAD)
        return pad(said, (0, self.max_new_tokens - said.shape[1]), value=PAD)[:count].to(contexts.device)


@contextmanager
def _finite() -> Iterator[None]:
    """Say in a RunError what torch's sampling says of probabilities that are none."""
    try:
        yield
    except RuntimeError as error:
        if "probability tensor" not in str(error):
            raise
        raise RunError("the model's logits are not finite: its weights are not; the last checkpoint is good") from error


def _trimmed(contexts: Tensor) -> Tensor:
    """Prompts without the columns in which none has a token.

    Raises:
        RunError: one of them is empty.
    """
    lengths = (contexts != PAD).sum(dim=1)
    if not bool((lengths > 0).all()):
        raise RunError("a prompt without a single token")
    return contexts[:, contexts.shape[1] - int(lengths.max()) :]
