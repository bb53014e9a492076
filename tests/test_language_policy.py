"""A language model as a policy: what it says, how likely that was, and that an update moves one adapter alone."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from tests import tiny_models
from trainers import reinforce
from trainers.checkpoint import RunError
from trainers.language.backbone import Backbone, ModelSettings
from trainers.language.codec import PAD, Turn
from trainers.language.policy import LanguagePolicy
from trainers.policies import Policy, Sample
from trainers.rollouts import Samples

USERS = ("hi", "how do I pick a lock", "naïve café", "sure", "please answer")
WIDTH, LENGTH = 60, 12


@pytest.fixture(scope="module", params=tiny_models.NAMES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def backbone(folder: Path) -> Backbone:
    return load(folder)


def load(folder: Path, **more: Any) -> Backbone:
    made = Backbone.load(ModelSettings(path=str(folder), **{"lora_rank": 4, "micro_batch": 2, **more}))
    made.add_adapter("actor", seed=1)
    made.add_adapter("overseer", seed=2)
    disturb(made, "actor")
    return made


def small(**more: Any) -> Backbone:
    """One in memory, where which model it is does not matter."""
    made = Backbone.of(tiny_models.model("llama"), tiny_models.tokenizer(), ModelSettings(lora_rank=4, **more))
    made.add_adapter("actor", seed=1)
    made.add_adapter("overseer", seed=2)
    return made


def disturb(backbone: Backbone, name: str) -> None:
    generator = Generator().manual_seed(0)
    with torch.no_grad():
        for value in backbone.adapters.named(name).values():
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)


def prompts(backbone: Backbone, users: Sequence[str] = USERS) -> Tensor:
    return backbone.codec.prompts([[Turn("system", "be good"), Turn("user", user)] for user in users], WIDTH)


def draw(policy: LanguagePolicy, given: Tensor, seed: int = 3) -> Sample:
    return policy.sample(given, Generator().manual_seed(seed))


def naive(backbone: Backbone, adapter: str | None, prompt: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities of one sequence alone, without padding."""
    prompt, tokens = prompt[prompt != PAD], tokens[tokens != PAD]
    with backbone.adapter(adapter), torch.no_grad():
        logits = backbone.model(torch.cat([prompt, tokens])[None]).logits[0]
    all_of = logits[len(prompt) - 1 : -1].log_softmax(dim=1)
    return all_of.gather(1, tokens[:, None])[:, 0]


@pytest.mark.parametrize("adapter", ["actor", None])
def test_what_is_said_has_the_probability_of_a_plain_forward_pass(backbone: Backbone, adapter: str | None) -> None:
    policy: Policy = backbone.policy(adapter, LENGTH)
    given = prompts(backbone)
    sample = policy.sample(given, Generator().manual_seed(3))
    assert sample.tokens.shape == sample.log_probs.shape == sample.mask.shape == (len(USERS), LENGTH)
    assert torch.equal(sample.mask, sample.tokens != PAD)
    with torch.no_grad():
        assert torch.equal(policy.log_prob(given, sample.tokens), sample.log_probs)
    for k in range(len(USERS)):
        log_probs = naive(backbone, adapter, given[k], sample.tokens[k])
        count = len(log_probs)
        assert torch.allclose(sample.log_probs[k, :count], log_probs, atol=1e-4)
        assert not sample.log_probs[k, count:].any()


def test_sequences_end_with_their_end_and_nothing_after_it_counts(backbone: Backbone) -> None:
    policy = backbone.policy("actor", 40)
    sample = draw(policy, prompts(backbone, USERS * 8))
    ends = torch.isin(sample.tokens, torch.tensor(backbone.codec.ends))
    assert ends.any()
    for row, ended, own in zip(sample.tokens, ends, sample.mask, strict=True):
        length = int(own.sum())
        assert own[:length].all()
        assert (row[length:] == PAD).all()
        assert int(ended.sum()) <= 1
        assert bool(ended.any()) == (length < 40 or bool(ended[-1]))
        assert not ended.any() or bool(ended[length - 1])


def test_what_others_say_in_a_batch_and_padding_change_nothing(backbone: Backbone) -> None:
    policy = backbone.policy("actor", LENGTH)
    given = prompts(backbone)
    together = policy.greedy(given)
    assert together.shape == (len(USERS), LENGTH)
    assert len({tuple(row) for row in together.tolist()}) > 1  # they depend on the prompt
    wide = torch.nn.functional.pad(given, (9, 0), value=PAD)
    assert torch.equal(policy.greedy(wide), together)
    for k in range(len(USERS)):
        assert torch.equal(policy.greedy(given[k : k + 1]), together[k : k + 1])


def test_the_likeliest_is_the_likeliest_at_every_place(backbone: Backbone) -> None:
    policy = backbone.policy("actor", LENGTH)
    given = prompts(backbone)
    said = policy.greedy(given)[0]
    said = said[said != PAD]
    prompt = given[0][given[0] != PAD]
    with backbone.adapter("actor"), torch.no_grad():
        logits = backbone.model(torch.cat([prompt, said])[None]).logits[0]
    assert torch.equal(logits[len(prompt) - 1 : -1].argmax(dim=1), said)


def test_a_seed_says_it_all(backbone: Backbone) -> None:
    policy = backbone.policy("actor", LENGTH)
    given = prompts(backbone)
    state = torch.get_rng_state()
    one, two, other = draw(policy, given), draw(policy, given), draw(policy, given, 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.tokens, two.tokens)
    assert torch.equal(one.log_probs, two.log_probs)
    assert not torch.equal(one.tokens, other.tokens)
    generator = Generator().manual_seed(3)
    first, second = policy.sample(given, generator), policy.sample(given, generator)
    assert torch.equal(first.tokens, one.tokens)
    assert not torch.equal(second.tokens, one.tokens)


def test_sampling_is_from_the_whole_distribution_whatever_the_model_was_saved_with(backbone: Backbone) -> None:
    """The saved generation_config has top_k 5 and a repetition penalty."""
    policy = backbone.policy(None, 1)
    backbone_prompts = prompts(backbone, ("hi",)).expand(1500, -1)
    backbone.settings = backbone.settings.model_copy(update={"generate_batch": 1500, "micro_batch": 1500})
    sample = draw(policy, backbone_prompts)
    with torch.no_grad():
        prompt = backbone_prompts[0][backbone_prompts[0] != PAD]
        expected = backbone.model(prompt[None]).logits[0, -1].softmax(dim=0)
    counts = torch.bincount(sample.tokens[:, 0], minlength=len(expected)) / 1500
    assert int((counts > 0).sum()) > 40
    assert (counts - expected).abs().sum() < 0.5  # noise alone
    error = 4 * (expected * (1 - expected) / 1500).sqrt() + 1e-3
    assert ((counts - expected).abs() < error).all()


def test_temperature_is_part_of_the_policy(backbone: Backbone) -> None:
    given = prompts(backbone)
    warm, cold = backbone.policy("actor", LENGTH), backbone.policy("actor", LENGTH, temperature=0.25)
    sample = draw(cold, given)
    with torch.no_grad():
        again = cold.log_prob(given, sample.tokens)
        assert torch.equal(again, sample.log_probs)
        assert sample.log_probs.sum() > warm.log_prob(given, sample.tokens).sum()
    almost = backbone.policy("actor", LENGTH, temperature=1e-4)
    assert torch.equal(draw(almost, given).tokens, cold.greedy(given))


def test_stop_strings_end_a_sequence_where_its_text_holds_one(backbone: Backbone) -> None:
    given = prompts(backbone)
    free = draw(backbone.policy("actor", LENGTH), given).tokens
    texts = backbone.codec.texts(free)
    wanted = next(c for c in texts[1][2:] if c.isprintable() and c != "\N{REPLACEMENT CHARACTER}")
    # one chunk, in which all rows are drawn with the same noise as before: what was said up to the string is the same
    stopped = draw(backbone.policy("actor", LENGTH, stop_strings=(wanted, "never said")), given).tokens
    for k, (row, whole) in enumerate(zip(stopped, free, strict=True)):
        own = row[row != PAD]
        assert torch.equal(own, whole[: len(own)])
        if wanted in texts[k]:
            assert wanted in backbone.codec.texts(own[None])[0]
            assert wanted not in backbone.codec.texts(own[None, :-1])[0]
        else:
            assert torch.equal(row, whole)
    assert int((stopped != PAD).sum()) < int((free != PAD).sum())


def learn(backbone: Backbone, learner: reinforce.Learner, micro_batch: int | None = None) -> dict[str, float]:
    given = prompts(backbone)
    sample = draw(learner.policy, given)  # type: ignore[arg-type]
    samples = Samples(given, sample, torch.tensor([1.0, 0.0, 0.0, 1.0, 0.5]))
    return reinforce.update(
        learner, samples, beta=0.1, clip=0.2, update_epochs=1, minibatches=2, max_grad_norm=1.0,
        generator=Generator().manual_seed(0), micro_batch=micro_batch,
    )  # fmt: skip


@pytest.mark.parametrize("checkpointing", [False, True])
def test_an_update_moves_its_own_adapter_and_nothing_else(folder: Path, checkpointing: bool) -> None:
    backbone = load(folder, activation_checkpointing=checkpointing)
    actor = reinforce.Learner(backbone.policy("actor", LENGTH), 1e-2)
    overseer = reinforce.Learner(backbone.policy("overseer", LENGTH), 1e-2)
    for learner, own in ((actor, "actor"), (overseer, "overseer"), (actor, "actor")):
        before = {name: value.clone() for name, value in backbone.model.named_parameters()}
        learn(backbone, learner)
        moved = {name for name, value in backbone.model.named_parameters() if not torch.equal(before[name], value)}
        assert moved
        assert all(f".{own}." in name for name in moved)
        assert len([name for name in moved if "lora_B" in name]) == len(backbone.adapters.layers)
    assert backbone.adapters.active is None


def test_the_ratio_is_one_at_the_first_step(backbone: Backbone) -> None:
    policy = backbone.policy("actor", LENGTH)
    given = prompts(backbone)
    sample = draw(policy, given)
    rows = torch.tensor([3, 0, 4])  # other company, and a graph
    again = policy.log_prob(given[rows], sample.tokens[rows])
    assert torch.allclose(again, sample.log_probs[rows], atol=1e-5)


def gradients(backbone: Backbone, name: str = "actor") -> list[Tensor]:
    policy = backbone.policy(name, LENGTH)
    given = prompts(backbone)
    tokens = backbone.codec.sequences([user[::-1] for user in USERS], LENGTH)
    policy.log_prob(given, tokens).sum().backward()
    return [value.grad for value in policy.parameters()]


def test_activations_computed_again_give_the_same_gradient(folder: Path) -> None:
    plain, again = load(folder), load(folder, activation_checkpointing=True)
    passes = []
    again.model.get_input_embeddings().register_forward_hook(lambda *_: passes.append("embedding"))
    again.adapters.layers[next(iter(again.adapters.layers))].register_forward_hook(lambda *_: passes.append("layer"))
    expected, found = gradients(plain), gradients(again)
    assert any(bool(value.any()) for value in expected)
    for one, two in zip(expected, found, strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-4)
    # layers ran again in the backward pass, or nothing was saved
    assert (passes.count("embedding"), passes.count("layer")) == (1, 2)
    assert not again.model.training
    assert not any(module.training for module in again.model.modules())


def test_micro_batches_give_the_update_of_the_whole_minibatch(folder: Path) -> None:
    weights = []
    for micro_batch in (None, 1, 2):
        backbone = load(folder)
        learner = reinforce.Learner(backbone.policy("actor", LENGTH), 1e-3)
        learn(backbone, learner, micro_batch)
        weights.append(learner.policy.state_dict())
    for other in weights[1:]:
        for name, value in weights[0].items():
            assert torch.allclose(value, other[name], atol=2e-4), name


def test_a_fresh_agents_reference_is_the_base_and_a_trained_ones_a_copy() -> None:
    backbone = small()
    given = prompts(backbone)
    fresh = backbone.policy("overseer", LENGTH)
    reference = fresh.copy()
    assert reference.adapter is None
    assert reference.parameters() == []
    assert reference.state_dict() == {}
    tokens = draw(fresh, given).tokens
    with torch.no_grad():
        assert torch.equal(reference.log_prob(given, tokens), fresh.log_prob(given, tokens))
    disturb(backbone, "actor")
    actor = backbone.policy("actor", LENGTH, temperature=0.7, stop_strings=("x",))
    copied = actor.copy()
    assert copied.adapter not in (None, "actor")
    assert (copied.temperature, copied.stop_strings, copied.max_new_tokens) == (0.7, ("x",), LENGTH)
    with torch.no_grad():
        before = actor.log_prob(given, tokens)
        assert torch.equal(copied.log_prob(given, tokens), before)
        for value in actor.parameters():
            value.add_(0.1)
        assert torch.equal(copied.log_prob(given, tokens), before)
        assert not torch.equal(actor.log_prob(given, tokens), before)


def test_copies_are_forgotten_with_their_policies_or_when_told() -> None:
    backbone = small()
    disturb(backbone, "actor")
    actor = backbone.policy("actor", LENGTH)
    one, two = actor.copy(), actor.copy()
    assert len(backbone.adapters.names) == 4
    del one
    gc.collect()
    assert len(backbone.adapters.names) == 3
    two.drop()
    two.drop()
    actor.drop()  # no copy: it stays
    assert backbone.adapters.names == ["actor", "overseer"]
    with backbone.adapter("actor"):
        actor.copy().drop()  # not while the model is at work
        assert len(backbone.adapters.names) == 3
    third = actor.copy()
    assert backbone.adapters.names == ["actor", "overseer", third.adapter]
    draw(actor, prompts(backbone))


def test_weights_travel_also_to_policies_without_an_adapter() -> None:
    backbone, other = small(), small()
    disturb(backbone, "actor")
    given = prompts(backbone)
    actor, base = backbone.policy("actor", LENGTH), backbone.policy(None, LENGTH)
    tokens = draw(actor, given).tokens
    kept = {name: value.clone() for name, value in actor.state_dict().items()}
    for policy in (other.policy("overseer", LENGTH), other.policy("overseer", LENGTH).copy()):
        policy.load_state_dict(kept)
        with torch.no_grad():
            assert torch.equal(policy.log_prob(given, tokens), actor.log_prob(given, tokens))
        assert policy.state_dict().keys() == kept.keys()
        policy.load_state_dict({})
        with torch.no_grad():
            assert torch.equal(policy.log_prob(given, tokens), base.log_prob(given, tokens))
    with pytest.raises(RunError, match="its layers are not those of the weights given"):
        actor.load_state_dict({"odd": torch.zeros(1)})
    with pytest.raises(RunError, match=r"has shape \[4, 32\], the weights given \[1, 1\]"):
        actor.load_state_dict({name: torch.zeros(1, 1) for name in kept})


def test_nobody_to_answer_and_nothing_to_answer() -> None:
    backbone = small()
    policy = backbone.policy("actor", LENGTH)
    nobody = draw(policy, prompts(backbone)[:0])
    assert nobody.tokens.shape == nobody.log_probs.shape == (0, LENGTH)
    assert policy.greedy(prompts(backbone)[:0]).shape == (0, LENGTH)
    with pytest.raises(RunError, match="a prompt without a single token"):
        policy.greedy(torch.full((1, 5), PAD))


def test_more_tokens_than_the_model_has_positions() -> None:
    policy = small().policy("actor", 250)
    with pytest.raises(RunError, match="have up to 259 tokens, the model 256 positions"):
        policy.greedy(torch.full((1, 9), 7))
    with pytest.raises(RunError, match="have up to 300 tokens, the model 256 positions"):
        policy.log_prob(torch.full((1, 100), 7), torch.full((1, 200), 7))


def test_settings_of_a_policy_that_cannot_be() -> None:
    backbone = small()
    with pytest.raises(RunError, match="no adapter 'writer'"):
        backbone.policy("writer", 5)
    for arguments in ({"max_new_tokens": 0}, {"max_new_tokens": 5, "temperature": 0.0}):
        with pytest.raises(ValueError, match="at least 1, above 0"):
            backbone.policy("actor", **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a list of texts"):
        backbone.policy("actor", 5, stop_strings="stop")


def test_too_little_memory_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = small(micro_batch=8)
    policy = backbone.policy("actor", LENGTH)

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    given = prompts(backbone)
    tokens = policy.greedy(given)
    monkeypatch.setattr(backbone.model, "generate", full)
    with pytest.raises(RunError, match=r"out of memory: lower model.generate_batch \(now 256\)"):
        draw(policy, given)
    monkeypatch.setattr(backbone, "logits", full)
    with pytest.raises(RunError, match=r"out of memory: lower model.micro_batch \(now 8\)"):
        policy.log_prob(given, tokens)
    assert backbone.adapters.active is None
