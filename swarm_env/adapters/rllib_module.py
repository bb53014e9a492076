"""An RLModule that never takes an illegal choice: RLlib's new API stack, torch, either kind of actions.

    RLModuleSpec(module_class=MaskedMarketModule, model_config={"hidden": [64, 64]})

Observations are `MarketMultiAgentEnv`'s "dict" ones. Masks are applied head by head, where the networks' logits leave
the module (Huang and Ontanon 2020, arXiv 2006.14171): a masked choice has probability 0, in sampling, in the
likelihoods that PPO compares, and in its entropy. Policy and value networks share nothing, as in SB3's default, and are
initialised as SB3 does (orthogonal; gains sqrt(2), 0.01 of the logits, 1 of the value).

RLlib 2.60 has a masking module among its examples. It takes the mask out of the batch that it is given, so that
training needs a pass over the values before; this one leaves its batch alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import gymnasium

try:
    import torch
    from ray.rllib.core.columns import Columns
    from ray.rllib.core.distribution.torch.torch_distribution import TorchCategorical, TorchMultiCategorical
    from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
    from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
    from torch import Tensor, nn
except ImportError as error:
    raise ImportError("swarm_env.adapters.rllib_module needs RLlib: pip install 'swarm-env[rllib]'") from error

#: Logit of a masked choice: exp of it is 0 in float32, and 0 times it is 0, which is not so for the lowest float.
MASKED = -1e9
#: Settings of `model_config` and what they are unless given; RLlib's PPO adds the second to every module's.
SETTINGS: dict[str, Any] = {"hidden": (64, 64), "vf_share_layers": False}


class MaskedMarketModule(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]
    """Policy and value network of learners that see {"observations": (n, F), "action_mask": (n, M)}.

    `model_config`: {"hidden": units of the hidden layers, of each network}.

    Raises:
        ValueError: other observations or actions, or a setting that does not exist or is out of range.
    """

    def setup(self) -> None:
        """Build the networks; RLlib calls it once."""
        features, sizes = _features(self.observation_space), _heads(self.action_space)
        hidden = _hidden(self.model_config)
        self.policy = _network([features, *hidden, sum(sizes)], gain=0.01)
        self.value = _network([features, *hidden, 1], gain=1.0)
        self.action_dist_cls = TorchCategorical
        if isinstance(self.action_space, gymnasium.spaces.MultiDiscrete):
            self.action_dist_cls = TorchMultiCategorical.get_partial_dist_cls(input_lens=sizes)

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Logits (n, M), the heads one after the other, of "obs"."""
        seen = batch[Columns.OBS]
        logits = self.policy(seen["observations"])
        return {Columns.ACTION_DIST_INPUTS: torch.where(seen["action_mask"] > 0, logits, MASKED)}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        """(n,) expected discounted return of "obs", in the rewards' unit."""
        values: Tensor = self.value(batch[Columns.OBS]["observations"])
        return values.squeeze(-1)


def _features(space: Any) -> int:
    """F of an observation space."""
    parts = getattr(space, "spaces", {})
    if set(parts) != {"observations", "action_mask"}:
        raise ValueError(
            "MaskedMarketModule needs observations {'observations': ..., 'action_mask': ...}: "
            f"set observations='dict' in env_config; got {space}"
        )
    return int(parts["observations"].shape[0])


def _heads(space: Any) -> list[int]:
    """Choices of each head."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return [int(size) for size in space.nvec]
    raise ValueError(f"MaskedMarketModule needs Discrete or MultiDiscrete actions, got {space}")


def _hidden(config: Any) -> list[int]:
    """The hidden layers that a model_config asks for."""
    given = dict(config or {})
    for key in given:
        if key not in SETTINGS:
            near = difflib.get_close_matches(str(key), SETTINGS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"model_config: unknown setting {key!r}{hint} (settings: {', '.join(SETTINGS)})")
    hidden, shared = (SETTINGS | given).values()
    if shared:
        raise ValueError("model_config: vf_share_layers must be False: policy and value networks share nothing")
    if isinstance(hidden, str) or not all(type(units) is int and units > 0 for units in hidden):
        raise ValueError(f"model_config: hidden must be a list of whole numbers above 0, got {hidden!r}")
    return list(hidden)


def _network(sizes: Sequence[int], gain: float) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between them; gain: of the last layer's weights."""
    layers: list[nn.Module] = []
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        linear = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(linear.weight, gain if k == len(sizes) - 2 else 2**0.5)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
