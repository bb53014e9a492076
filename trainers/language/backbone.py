"""A causal language model that several policies share: one frozen base, one codec, a LoRA adapter an agent."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor

from swarm_env.scenario.settings import Section
from trainers import distributed
from trainers.checkpoint import RunError
from trainers.language.adapters import ALL_LINEAR, Adapters

if TYPE_CHECKING:
    from trainers.language.policy import LanguagePolicy

BUILTIN = "builtin"  #: the model of the built-in language, made in memory


def requests(path: str, *, data: bool) -> str:
    """What is asked, and by whose words it is counted: a key of the trainers' LENGTHS.

    Args:
        path: of the model. data: whether there are prompts of one's own.
    """
    if data:
        return "data"
    return "built-in model" if path == BUILTIN else "built-in language"


class ModelSettings(Section):
    """``model:``."""

    path: str = Field(
        default=BUILTIN, min_length=1, description="builtin, or a causal LM with its tokenizer: a folder or hub name"
    )
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="of the base; adapters are float32")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: cuda where there is a GPU")
    lora_rank: int = Field(default=16, ge=1, le=1024, description="of each adapter")
    lora_alpha: float = Field(default=32.0, gt=0, le=65_536, description="an adapter adds (alpha / rank) B A x")
    lora_targets: tuple[str, ...] = Field(
        default=(ALL_LINEAR,),
        min_length=1,
        description="linear layers that adapters sit on",
        json_schema_extra={"allowed": "all-linear, or a list of layers' names, as in [q_proj, v_proj]"},
    )
    activation_checkpointing: bool = Field(
        default=False, description="compute activations again in the backward pass: less memory, a third more time"
    )
    micro_batch: int = Field(
        default=64, ge=1, le=65_536, description="sequences of a forward pass; only memory and speed"
    )
    generate_batch: int = Field(default=256, ge=1, le=65_536, description="sequences that are sampled at a time")
    allow_pickle: bool = Field(default=False, description="load weights from pickles, which can run any code")
    trust_remote_code: bool = Field(default=False, description="run code that comes with a model")
    shard: bool = Field(default=False, description="cut the base over all processes (FSDP2), for one that does not fit")

    @field_validator("lora_targets", mode="before")
    @classmethod
    def as_tuple(cls, value: Any) -> Any:
        """YAML has lists; one name need not be a list."""
        return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else value

    @property
    def place(self) -> torch.device:
        """Where the model goes; RunError where there is no such thing."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise RunError("model.device is cuda, and there is no GPU that torch can use")
        cuda = self.device != "cpu" and torch.cuda.is_available()
        return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")

    @property
    def torch_dtype(self) -> torch.dtype:
        """Of the base."""
        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32


class Backbone:
    """A base and its adapters; outside of `adapter` none is at work.

    Attributes:
        model: a PreTrainedModel in evaluation mode (no dropout anywhere), adapters inside.
        codec: of its tokenizer.
        settings: as given.
        origin: where `load` found it; None where it was made in memory.

    Use `load` or `of`.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: ModelSettings, origin: str | None) -> None:
        from trainers.language.loading import need_libraries
        from trainers.language.tokenizers import HFCodec

        need_libraries()
        from transformers import GenerationConfig

        rows = model.get_input_embeddings().num_embeddings
        if len(tokenizer) > rows:
            raise RunError(f"the tokenizer has {len(tokenizer)} tokens, the model {rows}: it is another model's")
        self.settings, self.tokenizer, self.origin = settings, tokenizer, origin
        ends = model.generation_config.eos_token_id if model.generation_config is not None else None
        self.codec = HFCodec(tokenizer, [] if ends is None else ends if isinstance(ends, list) else [ends])
        # what it holds (top-k, repetition penalties, ...) would come back into every generation
        self.generation_config, model.generation_config = model.generation_config, GenerationConfig()
        self.sharded = settings.shard and distributed.world() > 1
        if self.sharded and origin is None:
            raise RunError("model.shard is for models from folders and the hub; this one was made in memory")
        self.model = model.eval()
        self.adapters = Adapters(model, settings.lora_rank, settings.lora_alpha, settings.lora_targets)
        if self.sharded:
            distributed.shard(model)
        else:
            model.to(settings.place)
        self._accepted = frozenset(inspect.signature(model.forward).parameters)
        self._recomputed: list[Any] = []
        if settings.activation_checkpointing:
            self._checkpoint_activations()
        self._copies = 0
        self._dropped: list[str] = []

    @classmethod
    def load(cls, settings: ModelSettings) -> Self:
        """The model at settings.path, a folder or a hub name.

        Raises:
            RunError: there is none, or something of it is missing or unsafe to load.
        """
        from trainers.language.loading import load_model, load_tokenizer

        tokenizer = load_tokenizer(settings)
        return cls(load_model(settings), tokenizer, settings, settings.path)

    @classmethod
    def of(cls, model: Any, tokenizer: Any, settings: ModelSettings) -> Self:
        """A model made in memory (PreTrainedModel) and its tokenizer. The model is taken over, not copied.

        Raises:
            RunError: the tokenizer is another model's, or the model is to be sharded.
        """
        return cls(model.to(settings.torch_dtype), tokenizer, settings, None)

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self.settings.place

    def add_adapter(self, name: str, *, seed: int) -> None:
        """A fresh adapter: the model as it is, until it is trained. The global generator does not notice.

        Raises:
            RunError: the name is taken, or settings.lora_targets are not in this model.
        """
        self._tidy()
        self.adapters.add(name, seed)

    def copy_adapter(self, name: str) -> str:
        """A copy under a new name, which is returned."""
        self._tidy()
        new = self.new_name(name)
        self.adapters.copy(name, new)
        return new

    def new_name(self, name: str) -> str:
        """A name like this one that no adapter has had."""
        self._copies += 1
        return f"{name}_copy_{self._copies}"

    def drop_adapter(self, name: str) -> None:
        """Forget an adapter, at once or, where one is at work, when next one is added."""
        if name not in self._dropped:
            self._dropped.append(name)
        if self.adapters.active is None:
            self._tidy()

    def _tidy(self) -> None:
        for name in [name for name in self._dropped if name != self.adapters.active]:
            self._dropped.remove(name)
            if name in self.adapters.names:
                self.adapters.remove(name)

    def adapter(self, name: str | None) -> AbstractContextManager[None]:
        """The model with this adapter, or with none; afterwards as before, also after an exception, also nested."""
        return self.adapters.use(name)

    def policy(
        self, name: str | None, max_new_tokens: int, *, temperature: float = 1.0, stop_strings: Sequence[str] = ()
    ) -> LanguagePolicy:
        """A policy that speaks through an adapter, or (None) through the base alone; see `LanguagePolicy`."""
        from trainers.language.policy import LanguagePolicy

        return LanguagePolicy(self, name, max_new_tokens, temperature=temperature, stop_strings=stop_strings)

    @property
    def positions(self) -> int | None:
        """Tokens that the model can have in view; None where nothing limits them."""
        most: int | None = getattr(self.model.config, "max_position_embeddings", None)
        return most

    def check_length(self, tokens: int) -> None:
        """RunError where a sequence has more tokens than the model has positions."""
        most = self.positions
        if most is not None and tokens > most:
            raise RunError(f"prompts and what follows them have up to {tokens} tokens, the model {most} positions")

    def logits(self, ids: Tensor, mask: Tensor, keep: int) -> Tensor:
        """Of the token after each of the last `keep` positions but the very last, (n, keep, V).

        Args:
            ids: int64 (n, T), any id where mask (n, T) is False.
        """
        self.check_length(ids.shape[1])
        position = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        extra: dict[str, Any] = {"position_ids": position, "logits_to_keep": keep + 1, "use_cache": False}
        extra = {name: value for name, value in extra.items() if name in self._accepted}
        with self._with_checkpoints() if torch.is_grad_enabled() else nullcontext():
            out: Tensor = self.model(input_ids=ids, attention_mask=mask.long(), **extra).logits
        return out[:, -(keep + 1) : -1]

    def _checkpoint_activations(self) -> None:
        from torch.utils.checkpoint import checkpoint

        def again() -> tuple[Any, Any]:
            # the backward pass comes when the adapter is no longer at work: it has to be again
            return nullcontext(), self.adapter(self.adapters.active)

        def run(function: Any, *inputs: Any) -> Any:
            return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=again)

        self.model._set_gradient_checkpointing(enable=True, gradient_checkpointing_func=run)
        self._recomputed = [module for module in self.model.modules() if hasattr(module, "gradient_checkpointing")]

    @contextmanager
    def _with_checkpoints(self) -> Iterator[None]:
        # transformers checkpoints in training mode alone; dropout, in other modules, stays off
        for module in self._recomputed:
            module.training = True
        try:
            yield
        finally:
            for module in self._recomputed:
                module.training = False

    def export(self, folder: str | os.PathLike[str], adapter: str | None) -> Path:
        """See `trainers.language.export.export`."""
        from trainers.language.export import export

        return export(self, Path(folder), adapter)
