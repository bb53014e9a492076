"""The masking RLModule: what is illegal is never taken, whatever the networks say."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from swarm_env.adapters.rllib import MarketMultiAgentEnv
from swarm_env.adapters.rllib_module import MASKED, MaskedMarketModule

NVEC = (3, 2, 5)


def module(space: gymnasium.Space[Any] | None = None, **config: Any) -> MaskedMarketModule:
    """A module of 4 features and, unless told otherwise, three heads."""
    parts = {
        "observations": gymnasium.spaces.Box(-1, 1, (4,), dtype=np.float32),
        "action_mask": gymnasium.spaces.Box(0, 1, (sum(NVEC),), dtype=np.int8),
    }
    return MaskedMarketModule(
        observation_space=gymnasium.spaces.Dict(parts),
        action_space=space or gymnasium.spaces.MultiDiscrete(NVEC),
        model_config=config,
    )


def observed(rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """Features and masks that leave every head a choice, some only one."""
    mask = rng.random((rows, sum(NVEC))) < 0.4
    for start, size in zip(np.cumsum([0, *NVEC[:-1]]), NVEC, strict=True):
        mask[np.arange(rows), start + rng.integers(0, size, rows)] = True
    features = rng.uniform(-1, 1, (rows, 4)).astype(np.float32)
    return {"observations": torch.from_numpy(features), "action_mask": torch.from_numpy(mask.astype(np.int8))}


def legal(actions: torch.Tensor, mask: torch.Tensor) -> bool:
    starts = torch.tensor(np.cumsum([0, *NVEC[:-1]]))
    return bool((mask.gather(1, actions + starts) == 1).all())


@pytest.mark.parametrize("preference", [0.0, 1e4], ids=["as initialised", "the networks want what is illegal"])
def test_masked_choices_are_never_taken(preference: float) -> None:
    torch.manual_seed(0)
    net, seen = module(), observed(4000, np.random.default_rng(0))
    wanted = preference * (1 - seen["action_mask"].float())
    net.policy.register_forward_hook(lambda _, __, logits: logits + wanted)
    logits = net.forward_exploration({"obs": seen})["action_dist_inputs"]
    drawn = net.get_exploration_action_dist_cls().from_logits(logits)
    assert legal(drawn.sample(), seen["action_mask"])
    assert legal(drawn.to_deterministic().sample(), seen["action_mask"])
    assert (logits == MASKED).equal(seen["action_mask"] == 0)
    assert torch.isfinite(drawn.logp(drawn.sample())).all()


def test_legal_choices_share_all_probability_and_entropy_as_if_there_were_no_others() -> None:
    net, seen = module(), observed(200, np.random.default_rng(1))
    logits = net.forward_train({"obs": seen})["action_dist_inputs"]
    entropy = net.get_train_action_dist_cls().from_logits(logits).entropy()
    for row in range(200):
        expected, start = 0.0, 0
        for size in NVEC:
            kept = logits[row, start : start + size][seen["action_mask"][row, start : start + size] == 1]
            expected += torch.distributions.Categorical(logits=kept).entropy().item()
            start += size
        assert entropy[row].item() == pytest.approx(expected, abs=1e-5)
    entropy.sum().backward()
    gradients = [weight.grad for weight in net.policy.parameters()]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


def test_the_batch_stays_as_it_was() -> None:
    net, seen = module(), observed(5, np.random.default_rng(2))
    batch = {"obs": dict(seen)}
    net.forward_train(batch)  # no pass over the values before
    assert net.compute_values(batch).shape == (5,)
    assert batch.keys() == {"obs"}
    assert batch["obs"] == seen


def test_one_head_is_a_plain_categorical() -> None:
    net = module(gymnasium.spaces.Discrete(sum(NVEC)))
    seen = observed(500, np.random.default_rng(3))
    logits = net.forward_inference({"obs": seen})["action_dist_inputs"]
    actions = net.get_inference_action_dist_cls().from_logits(logits).sample()
    assert (seen["action_mask"][torch.arange(500), actions] == 1).all()


def test_bad_settings_say_so() -> None:
    with pytest.raises(ValueError, match="unknown setting 'hiden'; did you mean 'hidden'"):
        module(hiden=[8])
    with pytest.raises(ValueError, match="hidden must be a list of whole numbers above 0"):
        module(hidden=[8, 0])
    with pytest.raises(ValueError, match="vf_share_layers must be False"):
        module(vf_share_layers=True)
    with pytest.raises(ValueError, match="needs Discrete or MultiDiscrete actions"):
        module(gymnasium.spaces.Box(0, 1, (2,)))
    env = MarketMultiAgentEnv({"scenario": "baseline", "observations": "box"})
    with pytest.raises(ValueError, match="set observations='dict' in env_config"):
        MaskedMarketModule(
            observation_space=env.observation_spaces["honest_1"], action_space=env.action_spaces["honest_1"]
        )
