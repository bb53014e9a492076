"""A client of servers that speak OpenAI's protocol (vLLM, SGLang, hosted ones): retries, rate limit, caps.

It is built on httpx2, the HTTP library below both the openai package and huggingface_hub, and not on openai itself:
what is needed is one kind of POST, with retries that count against the caps and a clock that tests can turn, bodies
with fields that are not OpenAI's (token ids), and routes that are not OpenAI's (adapters). openai retries by itself,
unseen by the caps, and would add three packages.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from swarm_env.scenario.settings import Fault, Section, faulty
from trainers.checkpoint import RunError
from trainers.language.spending import Budget, Clock, RateLimit, SystemClock, Tokens

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  #: statuses that another try may mend
MESSAGE_TOKENS = 16  #: around a message, at most, besides what `template_tokens` allows for

T = TypeVar("T")
R = TypeVar("R")


class EndpointError(RunError):
    """The server refuses, or does not keep to the protocol; trying again would change nothing."""


class UnavailableError(EndpointError):
    """The server gave no usable answer to any try; later it may."""


class EndpointSettings(Section):
    """``endpoint:``."""

    base_url: str = Field(description="with the version, as in http://localhost:8000/v1", min_length=1)
    model: str = Field(description="as the server names it", min_length=1)
    server: Literal["vllm", "sglang"] = Field(default="vllm", description="whose routes for adapters to use")
    key_variable: str = Field(default="OPENAI_API_KEY", description="environment variable with the key; unset: no key")
    timeout: float = Field(default=60.0, gt=0, le=3600, description="seconds to connect, and without a byte")
    retries: int = Field(default=5, ge=0, le=20, description="further tries of a request that failed")
    backoff: float = Field(default=1.0, ge=0, le=60, description="seconds before the first retry; doubled each time")
    max_wait: float = Field(default=60.0, ge=0, le=3600, description="seconds between tries, at most")
    requests_per_minute: float | None = Field(default=None, gt=0, le=1e6, description="tries, at most; null: no limit")
    concurrency: int = Field(default=8, ge=1, le=256, description="requests under way at once")
    max_tokens: int | None = Field(default=None, ge=1, description="cap on tokens read and written; null: none")
    max_cost: float | None = Field(default=None, gt=0, description="cap on money, in the prices' currency; null: none")
    price_read: float = Field(default=0.0, ge=0, description="of a million tokens of prompts")
    price_written: float = Field(default=0.0, ge=0, description="of a million tokens of completions")
    ledger: str | None = Field(default=None, min_length=1, description="file that keeps what was spent between runs")
    template_tokens: int = Field(
        default=4096, ge=0, le=1_000_000, description="that the server's chat template may add to a prompt"
    )

    @model_validator(mode="after")
    def sensible(self) -> EndpointSettings:
        """Refuse addresses that are none, and a cap on money that has no price."""
        if not self.base_url.startswith(("http://", "https://")):
            raise faulty(Fault(("base_url",), "no address of a server", "http://.. or https://.."))
        if self.max_cost is not None and not (self.price_read and self.price_written):
            raise faulty(Fault(("max_cost",), "without prices nothing costs anything", "price_read and price_written"))
        return self


class Endpoint:
    """A server; may be used from several threads.

    Args:
        settings: where it is, and what may be asked of it.
        clock: by which waits are timed.
    """

    def __init__(self, settings: EndpointSettings, clock: Clock | None = None) -> None:
        try:
            import httpx2
        except ImportError:
            raise EndpointError("endpoints need httpx2: pip install 'swarm-env[endpoint]'") from None
        self._http, self.settings, self._clock = httpx2, settings, clock or SystemClock()
        ledger = Path(settings.ledger) if settings.ledger else None
        prices = (settings.price_read, settings.price_written)
        self.budget = Budget(settings.max_tokens, settings.max_cost, prices, ledger)
        self._rate = RateLimit(settings.requests_per_minute, self._clock)
        key = os.environ.get(settings.key_variable, "") if settings.key_variable else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(headers=headers, timeout=settings.timeout)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def chat(self, messages: Sequence[Mapping[str, Any]], max_new_tokens: int) -> str:
        """What the model says to messages of an OpenAI chat, greedily (temperature 0).

        Raises:
            UnavailableError: no usable answer to any try. EndpointError: refused. CapReachedError: see `Budget`.
        """
        body = {"messages": list(messages), "temperature": 0, "max_tokens": max_new_tokens}
        read = self.settings.template_tokens + sum(
            len(json.dumps(message, ensure_ascii=False).encode()) + MESSAGE_TOKENS for message in messages
        )
        choice = self._choice("chat/completions", body, Tokens(read, max_new_tokens))
        return self._text(choice.get("message") or {}, "content")

    def complete(self, prompt: str, max_new_tokens: int) -> str:
        """How the model goes on with a text that is already in its own format, greedily. Errors as of `chat`."""
        # the format has its special tokens; vLLM would add a second first one
        body = {"prompt": prompt, "temperature": 0, "max_tokens": max_new_tokens, "add_special_tokens": False}
        choice = self._choice("completions", body, Tokens(len(prompt.encode()) + MESSAGE_TOKENS, max_new_tokens))
        return self._text(choice, "text")

    def complete_ids(self, prompt: Sequence[int], max_new_tokens: int, **fields: Any) -> dict[str, Any]:
        """The server's choice for a prompt of token ids, as it sent it. Errors as of `chat`."""
        body = {"prompt": list(prompt), "max_tokens": max_new_tokens, **fields}
        return self._choice("completions", body, Tokens(len(prompt), max_new_tokens))

    def map(self, ask: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """ask(item) of each, `concurrency` at once, in order; the first error ends it."""
        with ThreadPoolExecutor(max_workers=self.settings.concurrency) as pool:
            try:
                return list(pool.map(ask, items))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    @staticmethod
    def _text(holder: Mapping[str, Any], key: str) -> str:
        value = holder.get(key)
        return value if isinstance(value, str) else ""

    def _choice(self, route: str, body: dict[str, Any], most: Tokens) -> dict[str, Any]:
        def first(answer: Any) -> dict[str, Any]:
            choice = answer["choices"][0]
            if not isinstance(choice, dict):
                raise TypeError("a choice is an object")
            return choice

        return self.post(f"{self.base}/{route}", {"model": self.settings.model, **body}, most, first)

    @property
    def base(self) -> str:
        """The address that routes are under."""
        return self.settings.base_url.rstrip("/")

    def post(self, url: str, body: Mapping[str, Any], most: Tokens, read: Callable[[Any], R]) -> R:
        """read(answer) of a request, tried again where that may help.

        Args:
            url: whole. body: sent as JSON.
            most: tokens that it may cost at most; what it did cost is what the server says, or this.
            read: takes the answer apart; LookupError, TypeError and ValueError mean that it is malformed.
        """
        trouble = ""
        for attempt in range(self.settings.retries + 1):
            held = self.budget.reserve(most)
            used: Tokens | None = most  # where nothing better is known, it may have been charged for
            try:
                self._rate.wait()
                response = self._client.post(url, json=body)
                used = None if response.status_code != 200 else most
                trouble, asked = (
                    f"status {response.status_code}: {response.text[:200]!r}",
                    retry_after(response.headers),
                )
                if response.status_code == 200:
                    try:
                        answer = _json(response.text)
                        used = _usage(answer, most)
                        return read(answer)
                    except (LookupError, TypeError, ValueError) as error:
                        trouble = f"malformed answer ({type(error).__name__}: {error}): {response.text[:200]!r}"
                elif response.status_code not in RETRIED:
                    raise EndpointError(f"{url}: {trouble}")
            except (self._http.TimeoutException, self._http.TransportError) as error:
                trouble, asked = f"{type(error).__name__}: {error}", None
                if isinstance(error, self._http.ConnectError | self._http.ConnectTimeout):
                    used = None  # it never got there
            finally:
                self.budget.settle(held, used)
            if attempt < self.settings.retries:
                self._clock.sleep(self._pause(url, attempt, asked))
        raise UnavailableError(f"{url}: no usable answer to {self.settings.retries + 1} tries; the last: {trouble}")

    def _pause(self, url: str, attempt: int, asked: float | None) -> float:
        """Seconds until the next try."""
        if asked is not None and asked > self.settings.max_wait:
            raise UnavailableError(
                f"{url}: the server asks for {asked:.0f} s of patience, and max_wait is {self.settings.max_wait:g} s"
            )
        return float(min(self.settings.backoff * 2**attempt, self.settings.max_wait)) if asked is None else asked


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, given as such or as a date beside its own; None: it does not say."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        until, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("Date", ""))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _json(text: str) -> Any:
    """Of an answer; some routes of vLLM's answer in plain words."""
    if text.startswith("Success"):
        return {"success": text}
    return json.loads(text)


def _usage(answer: Any, most: Tokens) -> Tokens:
    """What a server says was used; what may have been, where it does not say."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return most
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Tokens(
        read if isinstance(read, int) and read >= 0 else most.read,
        written if isinstance(written, int) and written >= 0 else most.written,
    )


_SHARED: dict[EndpointSettings, Endpoint] = {}
_SHARED_LOCK = threading.Lock()


def shared(settings: EndpointSettings) -> Endpoint:
    """One endpoint for all who ask with the same settings, so that they keep to one rate and one cap."""
    with _SHARED_LOCK:
        if settings not in _SHARED:
            _SHARED[settings] = Endpoint(settings)
        return _SHARED[settings]
