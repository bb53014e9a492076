"""A policy that lives on a server: rollouts by vLLM or SGLang, ids in and ids out, one adapter's name an agent.

It samples, and that is all: gradients are the business of the same adapter's policy in the trainer. What the server
says of log-probabilities belongs to its own arithmetic; `losses.truncated_importance_weights` corrects for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Generator, Tensor

from trainers.language.codec import PAD
from trainers.language.endpoint import Endpoint, EndpointError, UnavailableError
from trainers.language.spending import Tokens
from trainers.policies import Sample

_SEEDS = 2**31 - 1


class EndpointPolicy:
    """Rollouts of one agent; see `trainers.policies.Policy`.

    Args:
        endpoint: the server.
        name: of the agent's adapter there; None: the model as it is.
        max_new_tokens: L.
        ends: ids that end a turn; a sequence that the server calls finished has to end in one. (): not checked.
        temperature: of `sample`. The server's log-probabilities are of temperature 1 unless it was started with
            ``--logprobs-mode processed_logprobs`` (vLLM).
        stop_strings: texts that end a sequence; they stay in it.
    """

    def __init__(
        self, endpoint: Endpoint, name: str | None, max_new_tokens: int, *, ends: Sequence[int] = (),
        temperature: float = 1.0, stop_strings: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.endpoint, self.name, self.max_new_tokens = endpoint, name, max_new_tokens
        self.ends, self.temperature, self.stop_strings = frozenset(ends), temperature, tuple(stop_strings)

    def sample(self, inputs: Tensor, generator: Generator) -> Sample:
        """Draw a sequence for each prompt; tokens int64 and log-probabilities float32 (n, L), as the server has them.

        Every row has a seed of its own, drawn from the generator: a server draws alike for rows that share one.

        Args:
            inputs: prompts int64 (n, P), padded on the left.

        Raises:
            UnavailableError, EndpointError, CapReachedError: see `Endpoint.chat`; also where ids are missing.
        """
        seeds = torch.randint(_SEEDS, (len(inputs),), generator=generator, device=generator.device).tolist()
        return self._ask(inputs, [{"temperature": self.temperature, "top_p": 1.0, "seed": seed} for seed in seeds])

    def greedy(self, inputs: Tensor) -> Tensor:
        """The likeliest next token at each position, int64 (n, L)."""
        return self._ask(inputs, [{"temperature": 0.0}] * len(inputs)).tokens

    def _ask(self, inputs: Tensor, fields: Sequence[dict[str, Any]]) -> Sample:
        prompts = [[token for token in row if token != PAD] for row in inputs.tolist()]
        same: dict[str, Any] = {
            "logprobs": 1, "return_token_ids": True, "return_tokens_as_token_ids": True,
            "skip_special_tokens": False,
        }  # fmt: skip
        if self.name is not None:
            same["model"] = self.served_name
        if self.stop_strings:
            same |= {"stop": list(self.stop_strings), "include_stop_str_in_output": True}

        def ask(row: tuple[list[int], dict[str, Any]]) -> tuple[list[int], list[float]]:
            prompt, own = row
            return self._sequence(self.endpoint.complete_ids(prompt, self.max_new_tokens, **same, **own), prompt)

        rows = self.endpoint.map(ask, zip(prompts, fields, strict=True))
        tokens = torch.full((len(rows), self.max_new_tokens), PAD, dtype=torch.long)
        log_probs = torch.zeros(len(rows), self.max_new_tokens)
        for index, (ids, values) in enumerate(rows):
            tokens[index, : len(ids)] = torch.tensor(ids, dtype=torch.long)
            log_probs[index, : len(ids)] = torch.tensor(values)
        device = inputs.device
        return Sample(tokens.to(device), log_probs.to(device), (tokens != PAD).to(device))

    @property
    def served_name(self) -> str:
        """By which the server knows the adapter."""
        base = self.endpoint.settings.model
        if self.name is None:
            return base
        return f"{base}:{self.name}" if self.endpoint.settings.server == "sglang" else self.name

    def _sequence(self, choice: dict[str, Any], prompt: list[int]) -> tuple[list[int], list[float]]:
        """The ids that were sampled, and their log-probabilities."""
        where = f"{self.endpoint.base} ({self.served_name})"
        echoed = choice.get("prompt_token_ids")
        if echoed is not None and list(echoed) != prompt:
            raise EndpointError(f"{where}: the server changed the prompt's {len(prompt)} ids: its tokenizer interferes")
        log_probs = choice.get("logprobs")
        said = log_probs if isinstance(log_probs, dict) else {}
        ids, values = sampled_ids(choice), said.get("token_logprobs")
        if ids is None or not isinstance(values, list) or len(values) != len(ids):
            raise EndpointError(
                f"{where}: the answer has no ids of the sampled tokens with a log-probability each; text is not "
                "tokenised again: the server has to know return_token_ids (vLLM 0.10.2, SGLang of July 2026)"
            )
        if not all(isinstance(value, int | float) and value <= 1e-3 for value in values):
            raise EndpointError(f"{where}: log-probabilities that are none: {values[:8]}")
        if len(ids) > self.max_new_tokens:
            raise EndpointError(f"{where}: {len(ids)} tokens, where at most {self.max_new_tokens} were asked for")
        finished = choice.get("finish_reason") == "stop" and not self.stop_strings
        if finished and self.ends and (not ids or ids[-1] not in self.ends):
            raise EndpointError(f"{where}: the token that ended the turn is missing from the ids")
        return ids, [min(float(value), 0.0) for value in values]

    def log_prob(self, inputs: Tensor, tokens: Tensor) -> Tensor:
        """Not here.

        Raises:
            EndpointError: always.
        """
        raise EndpointError("a policy on a server has no gradients: use the trainer's own policy of this adapter")

    def parameters(self) -> list[Tensor]:
        """None are here."""
        return []

    def copy(self) -> Self:
        """Not here: what a server has under a name may change; see `log_prob`."""
        raise EndpointError("a policy on a server cannot be copied: load the adapter under a second name")

    def state_dict(self) -> dict[str, Any]:
        """Empty: the weights are the server's."""
        return {}

    def load_state_dict(self, weights: Any) -> None:
        """Nothing to take, see `state_dict`; weights go through `ServedAdapters.load`."""
        if weights:
            raise EndpointError("a policy on a server takes no weights: use ServedAdapters.load")


def sampled_ids(choice: dict[str, Any]) -> list[int] | None:
    """Ids of the tokens that a server sampled, in whichever way it says them; None if in none."""
    ids = choice.get("token_ids")  # for return_token_ids: vLLM since 0.10.2, SGLang since July 2026
    if isinstance(ids, list) and all(isinstance(token, int) and token >= 0 for token in ids):
        return ids
    log_probs = choice.get("logprobs")
    names = log_probs.get("tokens") if isinstance(log_probs, dict) else None
    prefix = "token_id:"  # vLLM's return_tokens_as_token_ids
    if isinstance(names, list) and all(isinstance(name, str) and name.startswith(prefix) for name in names):
        digits = [name.removeprefix(prefix) for name in names]
        return [int(number) for number in digits] if all(map(str.isdecimal, digits)) else None
    return None


class ServedAdapters:
    """The LoRA adapters of a server, by name.

    vLLM has to be started with ``--enable-lora`` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, and with
    ``--no-enable-prefix-caching``: keys and values cached under a name outlive its adapter. An adapter is replaced by
    unloading and loading, not by vLLM's load_inplace, which has the file read again at every step.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._loaded = endpoint, set[str]()
        base = endpoint.base
        self._routes = base if endpoint.settings.server == "vllm" else base.removesuffix("/v1")

    def load(self, name: str, folder: Path) -> None:
        """Serve a saved peft adapter under a name; in place of the one that has the name, if one has.

        Args:
            name: as `EndpointPolicy` asks for it.
            folder: with adapter_config.json and adapter_model.safetensors, where the server sees it, too.

        Raises:
            EndpointError: the folder holds no adapter, or the server refuses it.
        """
        missing = [f for f in ("adapter_config.json", "adapter_model.safetensors") if not (folder / f).is_file()]
        if missing:
            raise EndpointError(f"{folder}: no adapter to serve: {' and '.join(missing)} not there")
        if name in self._loaded:
            self.unload(name)
        body = {"lora_name": name, "lora_path": str(folder.resolve())}
        try:
            self._post("load_lora_adapter", body)
        except UnavailableError:
            raise
        except EndpointError as refusal:
            # the name may be taken by an adapter of a run before this one
            try:
                self.unload(name)
            except EndpointError:
                raise refusal from None
            self._post("load_lora_adapter", body)
        self._loaded.add(name)

    def unload(self, name: str) -> None:
        """Serve it no longer."""
        self._post("unload_lora_adapter", {"lora_name": name})
        self._loaded.discard(name)

    def _post(self, route: str, body: dict[str, str]) -> None:
        self._endpoint.post(f"{self._routes}/{route}", body, Tokens(0, 0), lambda answer: answer)
