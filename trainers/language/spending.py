"""What requests may cost and how fast they may come: a cap that is kept before it is passed, and a rate limit."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import NamedTuple, Protocol

from trainers.checkpoint import RunError


class CapReachedError(RunError):
    """The next request could pass the cap; it was not made."""


class Clock(Protocol):
    """Time, that tests can make up."""

    def now(self) -> float:
        """Seconds since some moment; never falls."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """Time as it is."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        time.sleep(seconds)


class RateLimit:
    """Requests start at least 60 / per_minute seconds apart, from whatever thread; None: as they come."""

    def __init__(self, per_minute: float | None, clock: Clock) -> None:
        self._apart = 60.0 / per_minute if per_minute else 0.0
        self._clock, self._lock, self._next = clock, threading.Lock(), 0.0

    def wait(self) -> None:
        """Until the next request may start."""
        if not self._apart:
            return
        with self._lock:
            now = self._clock.now()
            start = max(now, self._next)
            self._next = start + self._apart
        if start > now:
            self._clock.sleep(start - now)


class Tokens(NamedTuple):
    """Of requests."""

    read: int  # of prompts
    written: int  # of completions


class Budget:
    """Tokens and money spent, and what requests under way may spend at most.

    A request is counted at its worst before it is made, and as it was afterwards. What is spent is appended to the
    ledger, if there is one, so that a run that goes on after a stop goes on counting.

    Args:
        max_tokens: cap on tokens read and written, None for none. max_cost: on money, in the prices' currency.
        prices: of a million tokens read and of a million written.
        ledger: a file of JSON lines.
    """

    def __init__(
        self, max_tokens: int | None = None, max_cost: float | None = None, prices: tuple[float, float] = (0.0, 0.0),
        ledger: Path | None = None,
    ) -> None:  # fmt: skip
        self._caps, self._prices, self._ledger = (max_tokens, max_cost), prices, ledger
        self._changed = threading.Condition()
        self._held: list[Tokens] = []
        self.spent = Tokens(0, 0)
        if ledger is not None and ledger.exists():
            for number, line in enumerate(ledger.read_text(encoding="utf-8").splitlines(), 1):
                self.spent = self._sum(self.spent, self._entry(line, number))

    def _entry(self, line: str, number: int) -> Tokens:
        try:
            entry = json.loads(line)
            return Tokens(int(entry["read"]), int(entry["written"]))
        except (ValueError, TypeError, KeyError):
            raise RunError(
                f"{self._ledger}, line {number}: {line[:60]!r} is no entry of a ledger; what was spent cannot be told: "
                "mend the line, or remove the file to count from 0"
            ) from None

    @staticmethod
    def _sum(*parts: Tokens) -> Tokens:
        return Tokens(sum(part.read for part in parts), sum(part.written for part in parts))

    def cost(self, tokens: Tokens) -> float:
        """Of tokens, in the prices' currency."""
        return (tokens.read * self._prices[0] + tokens.written * self._prices[1]) / 1e6

    def _passes(self, tokens: Tokens) -> str:
        """Which cap the tokens would pass, or nothing."""
        max_tokens, max_cost = self._caps
        if max_tokens is not None and sum(tokens) > max_tokens:
            return f"{sum(tokens):,} tokens, and the cap is {max_tokens:,}"
        if max_cost is not None and self.cost(tokens) > max_cost:
            return f"{self.cost(tokens):.4f}, and the cap is {max_cost:g}"
        return ""

    def reserve(self, most: Tokens) -> Tokens:
        """Hold what a request may cost at most, once no other one stands in its way.

        Raises:
            CapReachedError: with it, the cap could be passed.
        """
        with self._changed:
            while self._held and self._passes(self._sum(self.spent, most, *self._held)):
                self._changed.wait()
            passed = self._passes(self._sum(self.spent, most))
            if passed:
                spent = f"{sum(self.spent):,} tokens ({self.cost(self.spent):.4f}) are spent"
                raise CapReachedError(f"stopped before the cap: {spent}; the next request could make it {passed}")
            self._held.append(most)
            return most

    def settle(self, held: Tokens, used: Tokens | None) -> None:
        """A request is over: it used so much; None: nothing."""
        with self._changed:
            self._held.remove(held)
            if used is not None:
                self.spent = self._sum(self.spent, used)
                self._write(used)
            self._changed.notify_all()

    def _write(self, used: Tokens) -> None:
        if self._ledger is not None:
            self._ledger.parent.mkdir(parents=True, exist_ok=True)
            with self._ledger.open("a", encoding="utf-8") as file:
                file.write(json.dumps(used._asdict()) + "\n")
