"""The client of OpenAI-compatible servers, and policies that live on one, against a fake server."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm_env.scenario.errors import ScenarioError
from swarm_env.scenario.settings import load_settings
from tests.fake_server import Answer, Asked, FakeClock, FakeServer, completed, said, serving
from trainers.language.codec import PAD
from trainers.language.endpoint import Endpoint, EndpointError, EndpointSettings, UnavailableError, retry_after, shared
from trainers.language.endpoint_policy import EndpointPolicy, ServedAdapters, sampled_ids
from trainers.language.spending import Budget, CapReachedError, RateLimit, Tokens

HELLO = [{"role": "user", "content": "hello"}]


def endpoint(fake: FakeServer, clock: FakeClock | None = None, /, **more: Any) -> Endpoint:
    known: dict[str, Any] = {"base_url": fake.url, "model": "m", "template_tokens": 0, **more}
    return Endpoint(EndpointSettings(**known), clock or FakeClock())


def test_a_chat_is_asked_greedily(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_KEY", "secret")
    with serving(lambda asked, number: said("hi")) as server:
        client = endpoint(server, key_variable="THEIR_KEY")
        assert client.chat(HELLO, 7) == "hi"
        assert server.asked[0].path == "/v1/chat/completions"
        assert server.bodies == [{"model": "m", "messages": HELLO, "temperature": 0, "max_tokens": 7}]
        assert server.asked[0].headers["Authorization"] == "Bearer secret"
        assert client.budget.spent == Tokens(5, 3)
        assert "Authorization" not in dict(endpoint(server, key_variable="NO_SUCH_KEY")._client.headers)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_failures_are_tried_again_with_growing_pauses(status: int) -> None:
    clock = FakeClock()
    with serving(lambda asked, number: Answer("busy", status) if number < 3 else said("hi")) as server:
        client = endpoint(server, clock, backoff=0.5)
        assert client.chat(HELLO, 7) == "hi"
        assert len(server.asked) == 4
        assert clock.naps == [0.5, 1.0, 2.0]
        assert client.budget.spent == Tokens(5, 3)  # what failed was not charged for


def test_the_server_may_say_how_long_to_wait() -> None:
    replies = [Answer("", 429, (("Retry-After", "7"),)), Answer("", 503), said("hi")]
    clock = FakeClock()
    with serving(lambda asked, number: replies[number]) as server:
        assert endpoint(server, clock).chat(HELLO, 7) == "hi"
        assert clock.naps == [7.0, 2.0]
    with serving(lambda asked, number: Answer("", 429, (("Retry-After", "3600"),))) as server:
        with pytest.raises(UnavailableError, match="asks for 3600 s of patience, and max_wait is 60 s"):
            endpoint(server).chat(HELLO, 7)
        assert len(server.asked) == 1


def test_dates_of_retry_after_are_read() -> None:
    now = {"Date": "Sun, 22 Nov 2026 10:00:00 GMT"}
    assert retry_after({"Retry-After": "Sun, 22 Nov 2026 10:00:09 GMT"} | now) == 9.0
    assert retry_after({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT"} | now) == 0.0
    assert retry_after({"Retry-After": "2.5"}) == 2.5
    assert retry_after({"Retry-After": "soon"} | now) is None
    assert retry_after({"Retry-After": "Sun, 22 Nov 2026 10:00:09 GMT"}) is None
    assert retry_after({"Retry-After": "nan"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize("reply", ["{ cut", "[]", "{}", '{"choices": []}', '{"choices": ["text"]}', "null", ""])
def test_malformed_answers_are_tried_again_and_charged_for(reply: str) -> None:
    with serving(lambda asked, number: Answer(reply) if number == 0 else said("hi")) as server:
        client = endpoint(server)
        assert client.chat(HELLO, 7) == "hi"
        assert client.budget.spent.written == 7 + 3
    with serving(lambda asked, number: Answer(reply)) as server:
        with pytest.raises(UnavailableError, match=r"no usable answer to 3 tries; the last: malformed answer"):
            endpoint(server, retries=2).chat(HELLO, 7)
        assert len(server.asked) == 3


def test_a_slow_server_times_out() -> None:
    with serving(lambda asked, number: Answer("", seconds=5.0) if number == 0 else said("hi")) as server:
        client = endpoint(server, timeout=0.2)
        assert client.chat(HELLO, 7) == "hi"
        assert client.budget.spent.written == 7 + 3  # it may have been charged for


def test_a_server_that_is_not_there_costs_nothing() -> None:
    with serving(lambda asked, number: said("hi")) as server:
        pass
    client = endpoint(server, retries=1)
    with pytest.raises(UnavailableError, match="2 tries; the last: ConnectError"):
        client.chat(HELLO, 7)
    assert client.budget.spent == Tokens(0, 0)


def test_a_refusal_is_final() -> None:
    with serving(lambda asked, number: Answer({"error": "no such model"}, 404)) as server:
        with pytest.raises(EndpointError, match=r"status 404: .*no such model") as caught:
            endpoint(server).chat(HELLO, 7)
        assert not isinstance(caught.value, UnavailableError)
        assert len(server.asked) == 1


def test_the_cap_on_tokens_is_kept_before_it_is_passed() -> None:
    with serving(lambda asked, number: said("hi", read=20, written=10)) as server:
        client = endpoint(server, max_tokens=150)
        for _ in range(2):
            client.chat(HELLO, 40)  # a request of at most 51 + 40 tokens fits twice beside what was really used
        with pytest.raises(CapReachedError, match=r"stopped before the cap: 60 tokens .*the cap is 150"):
            client.chat(HELLO, 40)
        assert len(server.asked) == 2
        assert sum(client.budget.spent) == 60


def test_the_cap_on_money_counts_by_the_prices() -> None:
    with serving(lambda asked, number: said("hi", read=1000, written=100)) as server:
        client = endpoint(server, max_cost=0.01, price_read=1.0, price_written=20.0)
        for _ in range(3):
            client.chat(HELLO, 100)
        with pytest.raises(CapReachedError, match=r"could make it 0\.01.*the cap is 0\.01"):
            client.chat(HELLO, 100)
        assert len(server.asked) == 3
        assert client.budget.cost(client.budget.spent) == pytest.approx(0.009)


def test_requests_under_way_count_at_their_worst() -> None:
    budget = Budget(max_tokens=100)
    held = budget.reserve(Tokens(30, 40))
    waiting = threading.Thread(target=lambda: budget.settle(budget.reserve(Tokens(10, 40)), Tokens(1, 1)))
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()  # 70 + 50 could pass the cap, so it waits
    budget.settle(held, Tokens(5, 5))
    waiting.join(5)
    assert not waiting.is_alive()
    assert budget.spent == Tokens(6, 6)


def test_what_was_spent_outlives_the_run(tmp_path: Path) -> None:
    ledger = tmp_path / "spent.jsonl"
    with serving(lambda asked, number: said("hi", read=20, written=10)) as server:
        endpoint(server, max_tokens=150, ledger=str(ledger)).chat(HELLO, 40)
        again = endpoint(server, max_tokens=150, ledger=str(ledger))
        assert again.budget.spent == Tokens(20, 10)
        again.chat(HELLO, 40)
        with pytest.raises(CapReachedError):
            again.chat(HELLO, 40)
    ledger.write_text(ledger.read_text() + '{"read": 1')
    with pytest.raises(ValueError, match=r"spent\.jsonl, line 3: .* is no entry of a ledger"):
        endpoint(server, ledger=str(ledger))


def test_the_rate_limit_spaces_requests_out() -> None:
    clock = FakeClock()
    limit = RateLimit(30, clock)
    starts = []
    for _ in range(4):
        limit.wait()
        starts.append(clock.now())
    assert starts == [100.0, 102.0, 104.0, 106.0]
    clock.time += 60
    limit.wait()
    assert clock.now() == 166.0  # what was not used is not saved up
    with serving(lambda asked, number: Answer("", 500) if number == 0 else said("hi")) as server:
        clock = FakeClock()
        client = endpoint(server, clock, requests_per_minute=60, backoff=0.25)
        client.chat(HELLO, 7)
        assert clock.naps == [0.25, 0.75]  # a retry is a request too


def test_several_are_asked_at_once_and_answered_in_order() -> None:
    meet = threading.Barrier(4, timeout=5)

    def answer(asked: Asked, number: int) -> Answer:
        meet.wait()
        return said(asked.body["messages"][0]["content"])

    with serving(answer) as server:
        client = endpoint(server, concurrency=4)
        names = [str(n) for n in range(8)]
        assert client.map(lambda name: client.chat([{"role": "user", "content": name}], 4), names) == names


def test_one_server_has_one_budget() -> None:
    settings = EndpointSettings(base_url="http://localhost:1/v1", model="m")
    assert shared(settings) is shared(EndpointSettings(base_url="http://localhost:1/v1", model="m"))
    assert shared(settings) is not shared(EndpointSettings(base_url="http://localhost:1/v1", model="n"))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ("base_url: localhost\nmodel: m", "no address of a server"),
        ("base_url: http://a/v1\nmodel: m\nmax_cost: 1", "without prices"),
        ("base_url: http://a/v1\nmodel: m\ntimeout: 0", r"a number in \(0, 3600\]"),
        ("base_url: http://a/v1\nmodel: m\nretrys: 1", 'did you mean "retries"'),
        ("base_url: http://a/v1", "model"),
    ],
)
def test_settings_that_mean_nothing_are_errors(data: str, match: str, tmp_path: Path) -> None:
    config = tmp_path / "e.yaml"
    config.write_text(data + "\n")
    with pytest.raises(ScenarioError, match=match):
        load_settings(EndpointSettings, config)


# policies

END = 9


def engine(asked: Asked, number: int) -> Answer:
    """Says the prompt's ids backwards, shifted by the seed, then ends; log-probabilities are -token / 10."""
    body = asked.body
    ids = [(token + body.get("seed", 0)) % 5 + 10 for token in reversed(body["prompt"])][: body["max_tokens"] - 1]
    ids.append(END)
    choice = {
        "text": "not to be looked at", "finish_reason": "stop", "token_ids": ids,
        "prompt_token_ids": body["prompt"], "logprobs": {"token_logprobs": [-token / 10 for token in ids]},
    }  # fmt: skip
    return Answer({"choices": [choice], "usage": {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}})


def test_ids_go_there_and_back() -> None:
    inputs = torch.tensor([[PAD, PAD, 1, 2], [3, 4, 5, 6], [PAD, PAD, 1, 2]])
    with serving(engine) as server:
        policy = EndpointPolicy(endpoint(server), "conversation", 5, ends=(END,))
        sample = policy.sample(inputs, torch.Generator().manual_seed(3))
        assert {tuple(body["prompt"]) for body in server.bodies} == {(1, 2), (3, 4, 5, 6)}
        assert all(body["model"] == "conversation" and body["return_token_ids"] for body in server.bodies)
        assert all(asked.path == "/v1/completions" for asked in server.asked)
        assert len({body["seed"] for body in server.bodies}) == 3  # same prompts, seeds of their own
        assert sample.tokens.dtype == torch.int64
        assert sample.tokens.shape == sample.log_probs.shape == sample.mask.shape == (3, 5)
        assert torch.equal(sample.mask, sample.tokens != PAD)
        assert sample.tokens[:, 2].tolist()[0] == sample.tokens[1, 4].item() == END
        assert sample.tokens[0, 3:].tolist() == [PAD, PAD]
        assert torch.allclose(sample.log_probs, torch.where(sample.mask, -sample.tokens / 10, 0.0))
        again = policy.sample(inputs, torch.Generator().manual_seed(3))
        assert torch.equal(again.tokens, sample.tokens)
        other = policy.sample(inputs, torch.Generator().manual_seed(4))
        assert not torch.equal(other.tokens, sample.tokens)


def test_greedy_asks_for_temperature_zero_and_bare_models_have_no_adapter() -> None:
    with serving(engine) as server:
        client = endpoint(server)
        tokens = EndpointPolicy(client, None, 4).greedy(torch.tensor([[1, 2]]))
        assert tokens.tolist() == [[12, 11, END, PAD]]
        assert (server.bodies[0]["temperature"], server.bodies[0]["model"]) == (0.0, "m")
        assert "seed" not in server.bodies[0]
        assert EndpointPolicy(endpoint(server, server="sglang"), "a", 4).served_name == "m:a"
        policy = EndpointPolicy(client, "b", 4, stop_strings=["}"])
        policy.greedy(torch.tensor([[1, 2]]))
        assert (server.bodies[1]["stop"], server.bodies[1]["include_stop_str_in_output"]) == (["}"], True)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"token_ids": None}, "no ids of the sampled tokens"),
        ({"logprobs": None}, "no ids of the sampled tokens"),
        ({"logprobs": {"token_logprobs": [-1.0]}}, "no ids of the sampled tokens"),
        ({"logprobs": {"token_logprobs": [-1.0, None, -1.0]}}, "log-probabilities that are none"),
        ({"prompt_token_ids": [0, 1, 2]}, "changed the prompt's 2 ids"),
        ({"token_ids": [12, 11, 10]}, "the token that ended the turn is missing"),
        ({"token_ids": [9] * 7, "logprobs": {"token_logprobs": [-1.0] * 7}}, "7 tokens, where at most 4"),
    ],
)
def test_answers_that_cannot_be_trained_on_are_errors(change: dict[str, Any], match: str) -> None:
    def answer(asked: Asked, number: int) -> Answer:
        reply = engine(asked, number)
        reply.body["choices"][0] |= change
        return reply

    with serving(answer) as server:
        policy = EndpointPolicy(endpoint(server), "a", 4, ends=(END,))
        with pytest.raises(EndpointError, match=match):
            policy.greedy(torch.tensor([[1, 2]]))


def test_ids_are_read_in_either_form() -> None:
    assert sampled_ids({"token_ids": [1, 2]}) == [1, 2]
    assert sampled_ids({"logprobs": {"tokens": ["token_id:4", "token_id:5"]}}) == [4, 5]
    assert sampled_ids({"logprobs": {"tokens": ["token_id:4", "five"]}}) is None
    assert sampled_ids({"text": "one two"}) is None


def test_a_policy_on_a_server_does_not_train() -> None:
    with serving(engine) as server:
        policy = EndpointPolicy(endpoint(server), "a", 4)
        for use in (lambda: policy.log_prob(torch.zeros(1, 1), torch.zeros(1, 1)), policy.copy):
            with pytest.raises(EndpointError, match="a policy on a server"):
                use()
        assert list(policy.parameters()) == []
        assert policy.state_dict() == {}


def test_adapters_are_served_under_their_agents_names(tmp_path: Path) -> None:
    held: dict[str, str] = {"feedback": "of an earlier run"}

    def answer(asked: Asked, number: int) -> Answer:
        name = asked.body["lora_name"]
        if asked.path == "/v1/unload_lora_adapter":
            known = held.pop(name, None) is not None
            return Answer("Success: removed", 200) if known else Answer({"message": "not found"}, 404)
        assert asked.path == "/v1/load_lora_adapter"
        if name in held:
            return Answer({"message": "already loaded"}, 400)
        held[name] = asked.body["lora_path"]
        return Answer("Success: LoRA adapter added successfully.")

    folder = tmp_path / "adapter"
    folder.mkdir()
    with serving(answer) as server:
        adapters = ServedAdapters(endpoint(server))
        with pytest.raises(EndpointError, match=r"adapter_config\.json and adapter_model\.safetensors not there"):
            adapters.load("conversation", folder)
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").write_bytes(b"")
        adapters.load("conversation", folder)
        adapters.load("feedback", folder)  # the name was taken before this run
        adapters.load("conversation", folder)  # after an update
        assert held == {"conversation": str(folder), "feedback": str(folder)}
        adapters.unload("feedback")
        assert set(held) == {"conversation"}
        with pytest.raises(EndpointError, match="404"):
            adapters.unload("feedback")
    with serving(lambda asked, number: Answer({"success": True})) as server:
        ServedAdapters(endpoint(server, server="sglang")).load("a", folder)
        assert server.asked[0].path == "/load_lora_adapter"


def test_texts_in_their_own_format_are_completed() -> None:
    with serving(lambda asked, number: completed("yes")) as server:
        assert endpoint(server).complete("<s>x", 5) == "yes"
        assert server.asked[0].path == "/v1/completions"
        assert json.dumps(server.bodies[0]["prompt"]) == '"<s>x"'
        assert server.bodies[0]["add_special_tokens"] is False
