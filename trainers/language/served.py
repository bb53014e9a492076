"""Policies that learn here and are sampled on a server (vLLM, SGLang), which is shown every new adapter."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

from torch import Generator, Tensor

from trainers import distributed
from trainers.language.endpoint_policy import EndpointPolicy, ServedAdapters
from trainers.language.policy import LanguagePolicy
from trainers.policies import Sample


class ServedPolicy:
    """A `LanguagePolicy` whose samples a server draws; see `trainers.policies.Policy`.

    Samples carry the server's log-probabilities, whose arithmetic is not ours: learn from them with an
    `importance_cap` (`trainers.reinforce.update`).

    Args:
        local: what learns; it has an adapter.
        remote: the same agent on the server.
        adapters: of that server.
        folder: that the server sees too; adapters are written there, one at a time.
    """

    def __init__(self, local: LanguagePolicy, remote: EndpointPolicy, adapters: ServedAdapters, folder: Path) -> None:
        self.local, self.remote, self.adapters, self.folder = local, remote, adapters, folder
        self.adapter, self.pushed = local.adapter, -1

    def sample(self, contexts: Tensor, generator: Generator) -> Sample:
        """Draw on the server, which is given the adapter first if it has changed."""
        self.push()
        return self.remote.sample(contexts, generator)

    def push(self) -> None:
        """Let the server have the adapter as it is now."""
        version = sum(parameter._version for parameter in self.local.parameters())
        if version == self.pushed:
            return
        assert self.local.adapter is not None
        if distributed.is_main():
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=f"{self.local.adapter}_", dir=self.folder)) / self.local.adapter
            self.local.backbone.export(fresh, self.local.adapter)
            self.adapters.load(self.remote.served_name.rpartition(":")[2], fresh)
            for old in self.folder.glob(f"{self.local.adapter}_*"):
                if old != fresh.parent:
                    shutil.rmtree(old)
        distributed.all_count(0)  # nobody samples before
        self.pushed = version

    def greedy(self, contexts: Tensor) -> Tensor:
        """See `Policy.greedy`; here."""
        return self.local.greedy(contexts)

    def log_prob(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """See `Policy.log_prob`."""
        return self.local.log_prob(contexts, tokens)

    def parameters(self) -> list[Any]:
        """See `Policy.parameters`."""
        return self.local.parameters()

    def copy(self) -> Self:
        """Of what is here, for a reference."""
        return self.local.copy()  # type: ignore[return-value]

    def state_dict(self) -> dict[str, Any]:
        """See `Policy.state_dict`."""
        return self.local.state_dict()

    def load_state_dict(self, weights: Any) -> None:
        """See `Policy.load_state_dict`; the server is given them at the next draw."""
        self.local.load_state_dict(weights)
        self.pushed = -1
