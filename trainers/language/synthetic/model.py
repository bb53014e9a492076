"""The base model: a small Llama, made here and taught both roles, a role being a system prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from trainers.checkpoint import RunError
from trainers.language.chat import SYNTHETIC
from trainers.language.codec import Turn
from trainers.language.message import parse
from trainers.language.prompts import Prompt
from trainers.language.synthetic import judge
from trainers.language.synthetic.demonstrations import (
    ANSWERS,
    CONVERSATION,
    FEEDBACK,
    Demonstration,
    demonstrations,
    draft,
)
from trainers.language.synthetic.settings import Network, SyntheticSettings
from trainers.losses import sft_loss

LONGEST = 256  #: positions of the model; the longest dialogue of one revision has about 60 tokens
MOST_SAID = 24  #: tokens of an answer or a message, its end included; the longest well-formed one has 14
CHUNK = 256  #: sequences that are generated together
TOGETHER = 8  #: batches whose demonstrations are sorted by length
EVERY = 100  #: updates between two tests of a model that was not fit yet
WARM_UP = 0.05  #: share of the updates in which the learning rate rises to its highest


class Batch(NamedTuple):
    """n dialogues and what is learnt of them, padded on the right."""

    ids: Tensor  # int64 (n, T)
    own: Tensor  # bool (n, T): the assistant's own tokens of the last turn, its end included


def network(tokenizer: Any, settings: Network, seed: int) -> Any:
    """A new transformers.LlamaForCausalLM; the global generator does not notice."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError as error:
        raise ImportError("language models need transformers: pip install 'swarm-env[llm]'") from error
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=settings.hidden, intermediate_size=settings.intermediate,
        num_hidden_layers=settings.layers, num_attention_heads=settings.heads, num_key_value_heads=settings.heads,
        max_position_embeddings=LONGEST, tie_word_embeddings=True, initializer_range=0.05,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def rendered(tokenizer: Any, dialogues: Sequence[Sequence[Turn]]) -> list[list[int]]:
    """The ids of dialogues that an assistant is to go on with."""
    texts = tokenizer.apply_chat_template(
        [[turn._asdict() | {"content": turn.text} for turn in dialogue] for dialogue in dialogues],
        tokenize=False, add_generation_prompt=True,
    )  # fmt: skip
    return tokenizer(texts, add_special_tokens=False)["input_ids"]  # type: ignore[no-any-return]


def batch_of(tokenizer: Any, examples: Sequence[Demonstration]) -> Batch:
    """Demonstrations as a batch; what is learnt are the responses."""
    before = rendered(tokenizer, [example.dialogue for example in examples])
    said = tokenizer([example.response for example in examples], add_special_tokens=False)["input_ids"]
    width = max(len(a) + len(b) + 1 for a, b in zip(before, said, strict=True))
    ids = torch.full((len(examples), width), tokenizer.pad_token_id)
    own = torch.zeros_like(ids, dtype=torch.bool)
    for row, (a, b) in enumerate(zip(before, said, strict=True)):
        whole = [*a, *b, tokenizer.eos_token_id]
        ids[row, : len(whole)] = torch.tensor(whole)
        own[row, len(a) : len(whole)] = True
    return Batch(ids, own)


def loss_of(model: Any, batch: Batch) -> Tensor:
    """Cross-entropy of the assistant's own tokens, a scalar. No token sees the padding, which is behind it."""
    logits = model(input_ids=batch.ids[:, :-1]).logits
    log_probs = logits.log_softmax(dim=-1).gather(2, batch.ids[:, 1:, None])[:, :, 0]
    return sft_loss(log_probs, batch.own[:, 1:])


@torch.no_grad()
def say(model: Any, tokenizer: Any, dialogues: Sequence[Sequence[Turn]], generator: Generator) -> list[str]:
    """One sampled response to each dialogue, at temperature 1."""
    out: list[str] = []
    for at in range(0, len(dialogues), CHUNK):
        given = tokenizer.pad({"input_ids": rendered(tokenizer, dialogues[at : at + CHUNK])}, return_tensors="pt")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
            ids = model.generate(**given, do_sample=True, top_k=0, max_new_tokens=MOST_SAID)
        out += tokenizer.batch_decode(ids[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    return out


def form(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], settings: SyntheticSettings, seed: int
) -> dict[str, float]:
    """Share of well-formed responses in each role: answers to the prompts, messages about demonstrated answers."""
    generator, random = Generator().manual_seed(seed), Random(seed)
    answers = say(model, tokenizer, [SYNTHETIC.actor(prompt) for prompt in prompts], generator)
    shown = [SYNTHETIC.overseer(prompt, draft(prompt, settings.mistakes, random)) for prompt in prompts]
    messages = say(model, tokenizer, shown, generator)
    sound = [judge.well_formed(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    parsed = [parse(message) is not None for message in messages]
    return {CONVERSATION: sum(sound) / len(sound), FEEDBACK: sum(parsed) / len(parsed)}


def fit(model: Any, batches: Iterator[Batch], steps: int, learning_rate: float) -> None:
    """Full-parameter supervised learning, in place: Adam, a short rise of the learning rate, then a straight fall."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=(0.9, 0.99))
    model.train()
    for step, batch in enumerate(islice(batches, steps)):
        rise, fall = (step + 1) / max(WARM_UP * steps, 1.0), 1.0 - step / steps
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(rise, fall)
        loss = loss_of(model, batch)
        if not torch.isfinite(loss):
            raise RunError(f"warm start: the loss is {loss.item()} at step {step}: lower warm_start.learning_rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()


def batches(tokenizer: Any, examples: Iterator[Demonstration], size: int, random: Random) -> Iterator[Batch]:
    """Batches of demonstrations, as long as there are any; those of like length together, which saves padding."""
    while chunk := list(islice(examples, size * TOGETHER)):
        chunk.sort(key=lambda example: sum(len(turn.text.split()) for turn in example.dialogue))
        starts = list(range(0, len(chunk), size))
        random.shuffle(starts)
        for start in starts:
            yield batch_of(tokenizer, chunk[start : start + size])


def warm_start(
    tokenizer: Any, held_out: Sequence[Prompt], settings: SyntheticSettings, seed: int,
    report: Callable[[str], None] = lambda line: None,
) -> Any:  # fmt: skip
    """A model that speaks both roles, a transformers.LlamaForCausalLM in evaluation mode.

    Args:
        held_out: requests that well-formedness is tested on.
        report: told of each test.

    Raises:
        RunError: after `most_steps` updates it is still not well formed, or its loss is not finite.
    """
    config = settings.warm_start
    model = network(tokenizer, settings.network, seed)
    random = Random(f"{seed} warm start")
    first = islice(demonstrations(settings, random, ANSWERS), config.answers * config.batch)
    stream = batches(tokenizer, chain(first, demonstrations(settings, random)), config.batch, random)
    tested = held_out[: config.tested_on]
    done, steps, rate = 0, config.steps, config.learning_rate
    while True:
        fit(model, stream, steps, rate)
        done += steps
        shares = form(model, tokenizer, tested, settings, seed)
        report(f"warm start, {done} updates: " + ", ".join(f"{s:.1%} well formed as {r}" for r, s in shares.items()))
        if not config.well_formed or min(shares.values()) > config.well_formed:
            return model
        if done >= config.most_steps:
            role = min(shares, key=lambda name: shares[name])
            raise RunError(
                f"warm start: after {done} updates {shares[role]:.1%} of the model's {role} responses are well formed, "
                f"not more than {config.well_formed:.0%}: raise warm_start.steps and most_steps, or network.hidden"
            )
        steps, rate = min(EVERY, config.most_steps - done), config.learning_rate / 3  # from where it is, less boldly
