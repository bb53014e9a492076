"""A judge behind an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainers.language.endpoint import Endpoint, UnavailableError
from trainers.language.judges import Item, Verdict
from trainers.language.judges.cache import Cache
from trainers.language.judges.formats import Controversial, Format, unreadable


class EndpointJudge:
    """A guard model, or a chat model that judges, on a server; greedy.

    A server that fails on an item leaves a parse error, which is not cached; one that fails on all of them is an error.

    Args:
        form: what the model is shown and what it answers.
        endpoint: the server.
        cache: of answers; None: none.
        controversial: what an answer of that name counts as.

    Attributes:
        asked, cached: questions that the server was asked, and that the cache answered, so far.
    """

    def __init__(
        self, form: Format, endpoint: Endpoint, cache: Path | None = None, controversial: Controversial = "unsafe"
    ) -> None:
        self._form, self._endpoint, self._controversial = form, endpoint, controversial
        self._cache = Cache(cache) if cache is not None else None
        self.asked = self.cached = 0

    def _question(self, item: Item) -> dict[str, Any]:
        """All that an answer depends on."""
        shown = {"prompt": self._form.text(item)} if self._form.text else {}
        if self._form.messages:
            shown["messages"] = self._form.messages(item)  # type: ignore[assignment]
        fixed = {"model": self._endpoint.settings.model, "temperature": 0, "max_tokens": self._form.max_new_tokens}
        return fixed | shown

    def _ask(self, question: dict[str, Any]) -> tuple[str | UnavailableError, bool]:
        """The answer, and whether it was cached."""
        if self._cache is not None and (known := self._cache.get(question)) is not None:
            return known, True
        try:
            if "prompt" in question:
                answer = self._endpoint.complete(question["prompt"], self._form.max_new_tokens)
            else:
                answer = self._endpoint.chat(question["messages"], self._form.max_new_tokens)
        except UnavailableError as error:
            return error, False
        if self._cache is not None and answer:
            self._cache.put(question, answer)
        return answer, False

    def __call__(self, items: Sequence[Item]) -> list[Verdict]:
        """A verdict for each; what is shown twice is asked once.

        Raises:
            UnavailableError: the server answered nothing at all. EndpointError, CapReachedError: see `Endpoint.chat`.
        """
        questions = [self._question(item) for item in items]
        keys = [Cache.key(question) for question in questions]
        once = dict(zip(keys, questions, strict=True))
        found = self._endpoint.map(self._ask, once.values())
        self.cached += sum(cached for _, cached in found)
        self.asked += sum(not cached for _, cached in found)
        answers = {key: answer for key, (answer, _) in zip(once, found, strict=True)}
        failures = [answer for answer in answers.values() if isinstance(answer, UnavailableError)]
        if failures and len(failures) == len(answers):
            raise failures[0]
        return [self._verdict(answers[key]) for key in keys]

    def _verdict(self, answer: str | UnavailableError) -> Verdict:
        if isinstance(answer, UnavailableError):
            return unreadable(f"no answer: {answer}")
        return self._form.read(answer, self._controversial)
