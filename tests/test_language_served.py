"""Training on rollouts of a server: adapters go there after every update, ids come back, weights are capped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from swarm_env import cli
from tests import tiny_models
from tests.fake_server import Answer, Asked, serving
from trainers import losses, reinforce
from trainers.checkpoint import read
from trainers.policies import MLPPolicy, Sample
from trainers.reinforce import Learner
from trainers.rollouts import Samples

SETTINGS = [
    "game=language", "script=synthetic", "prompt_tokens=192", "answer_tokens=4", "message_tokens=4", "batch=3",
    "stage1.steps=1", "stage2.steps=2", "synthetic.train=20", "synthetic.held_out=8", "eval_prompts=0",
    "model.lora_rank=2",
]  # fmt: skip


def test_a_run_on_a_server_pushes_each_adapter_before_it_is_sampled(tmp_path: Path) -> None:
    model, seen = tiny_models.save(tmp_path / "model", "llama"), list[tuple[str, bytes]]()

    def vllm(asked: Asked, number: int) -> Answer:
        body: dict[str, Any] = asked.body
        if asked.path.endswith("load_lora_adapter") and not asked.path.endswith("unload_lora_adapter"):
            weights = Path(body["lora_path"]) / "adapter_model.safetensors"
            seen.append((body["lora_name"], weights.read_bytes()))
            return Answer({})
        if asked.path.endswith("unload_lora_adapter"):
            return Answer({})
        ids = [1 + (sum(body["prompt"]) + body.get("seed", 0) + k) % 300 for k in range(body["max_tokens"])]
        choice = {
            "text": "", "finish_reason": "length", "token_ids": ids, "prompt_token_ids": body["prompt"],
            "logprobs": {"token_logprobs": [-5.0] * len(ids)},
        }  # fmt: skip
        return Answer({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": len(ids)}})

    with serving(vllm) as server:
        rollouts = f"rollouts={{base_url: {server.url}, model: m}}"
        more = [part for value in (*SETTINGS, f"model={model}", rollouts) for part in ("--set", value)]
        assert cli.main(["train", "waltz", *more, "--out", str(tmp_path / "run"), "--quiet"]) == 0
        sampled = {asked.body["model"] for asked in server.asked if asked.path.endswith("/completions")}
    assert sampled == {"conversation", "feedback"}
    # before its first draw, and after each of its updates that draws follow: stage 1, and the first of stage 2
    assert [name for name, _ in seen].count("feedback") == 3
    assert [name for name, _ in seen].count("conversation") == 2
    assert all(blob for _, blob in seen)
    assert len(list((tmp_path / "run" / "served").iterdir())) == 2
    assert read(tmp_path / "run" / "policy.safetensors").tensors


def test_weights_of_what_another_engine_sampled_are_capped() -> None:
    generator = torch.Generator().manual_seed(0)
    policy = MLPPolicy(3, (4, 4), (8,), generator)
    inputs = torch.randn(64, 3, generator=generator)
    sample = policy.sample(inputs, generator)
    rewards = torch.rand(64, generator=generator)
    settings: dict[str, Any] = {
        "beta": 0.0, "clip": 0.2, "update_epochs": 1, "minibatches": 1, "max_grad_norm": 1e9,
        "generator": torch.Generator().manual_seed(1),
    }  # fmt: skip

    def gradient(given: Sample, cap: float | None) -> torch.Tensor:
        learner = Learner(policy.copy(), 0.0)
        reinforce.update(learner, Samples(inputs, given, rewards), **settings, importance_cap=cap)
        return torch.cat([p.grad.reshape(-1) for p in learner.policy.parameters() if p.grad is not None])

    own = gradient(sample, None)
    assert torch.allclose(gradient(sample, 2.0), own)
    # a server that says every token was half as likely weighs twice as much, and no more than the cap
    less = sample._replace(log_probs=sample.log_probs - torch.log(torch.tensor(3.0)))
    assert torch.allclose(gradient(less, 2.0), 2.0 * own, rtol=1e-4, atol=1e-7)
    weights = losses.truncated_importance_weights(sample.log_probs, less.log_probs, sample.mask, 2.0)
    assert weights[sample.mask].unique().tolist() == pytest.approx([2.0])
