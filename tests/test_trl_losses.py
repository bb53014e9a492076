"""Our DPO + gamma * SFT beside TRL's own, to 1e-6. Needs the extra `trl` (make trl); skipped where TRL is missing."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from trainers.losses import contrastive_preference_loss

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None,
    reason="TRL is not installed: make trl runs this in an environment of its own",
)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("beta", "gamma"), [(0.1, 0.2), (0.7, 0.0), (0.05, 3.0)])
def test_our_loss_and_its_gradient_are_trls(seed: int, beta: float, gamma: float) -> None:
    from trl import DPOTrainer

    n, length = 7, 5
    drawn = torch.Generator().manual_seed(seed)
    ours = (-3 * torch.rand(2 * n, length, generator=drawn, dtype=torch.float64)).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    reference = -3 * torch.rand(2 * n, generator=drawn, dtype=torch.float64)
    ends = torch.randint(1, length + 1, (2 * n,), generator=drawn)
    mask = torch.arange(length) < ends[:, None]

    loss = contrastive_preference_loss(
        ours[:n], ours[n:], mask[:n], mask[n:], reference[:n], reference[n:], beta, gamma
    )  # fmt: skip

    def model(**_: object) -> SimpleNamespace:
        log_probs = torch.where(mask, theirs, 0.0)  # as its language-model head leaves them
        return SimpleNamespace(
            log_probs=log_probs, entropy=log_probs.detach(), mean_logits=log_probs.detach(), is_top1=mask
        )

    model.training = True  # type: ignore[attr-defined]
    accelerator = SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x)
    trainer = SimpleNamespace(
        model=model, accelerator=accelerator, beta=beta, loss_types=["sigmoid", "sft"], loss_weights=[1.0, gamma],
        f_divergence_type="reverse_kl", ld_alpha=None, precompute_ref_logps=True, aux_loss_enabled=False,
        use_weighting=False, _metrics=defaultdict(lambda: defaultdict(list)), _total_train_tokens=0, _tp_size=1,
    )  # fmt: skip
    whole = torch.cat([torch.zeros(2 * n, 1, dtype=torch.bool), mask], dim=1).long()  # a prompt of one token
    inputs = {
        "input_ids": torch.ones_like(whole), "attention_mask": torch.ones_like(whole), "completion_mask": whole,
        "ref_chosen_logps": reference[:n], "ref_rejected_logps": reference[n:],
    }  # fmt: skip
    expected = DPOTrainer._compute_loss(trainer, model, inputs, False)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    loss.backward()
    expected.backward()
    assert torch.allclose(ours.grad, theirs.grad, rtol=0, atol=1e-6)
