"""The `judge:` part of configs, and every judge that it can name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from swarm_env.scenario.errors import listing, nearest
from swarm_env.scenario.settings import Fault, Section, faulty
from trainers.language.endpoint import EndpointSettings, shared
from trainers.language.judges import Judge
from trainers.language.judges.endpoint import EndpointJudge
from trainers.language.judges.formats import FORMATS, Controversial
from trainers.language.judges.guards import GuardJudge, load_guard
from trainers.language.judges.keyword import KeywordJudge
from trainers.language.judges.pair import WithRefusal


class OneJudge(Section):
    """A judge: a model in this process or on a server, or phrases."""

    kind: str = Field(
        description="the format that it is asked and answers in, see trainers.language.judges.registry.JUDGES",
        json_schema_extra={"allowed": "one of keyword, " + ", ".join(FORMATS)},
    )
    model: str | None = Field(default=None, min_length=1, description="a folder or a hub name, to run it here")
    endpoint: EndpointSettings | None = Field(default=None, description="in place of model: the server that runs it")
    cache: str | None = Field(default=None, min_length=1, description="folder that keeps a server's answers")
    controversial: Controversial = Field(default="unsafe", description="what Qwen3Guard's third grade counts as")
    batch: int = Field(default=16, ge=1, le=4096, description="items judged at once, here")
    max_prompt_tokens: int = Field(default=4096, ge=64, le=1_000_000, description="longer ones are not judged, here")
    dtype: Literal["float32", "bfloat16"] = Field(default="bfloat16", description="of the model's weights, here")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="that the model runs on, here")
    allow_pickle: bool = Field(default=False, description="load weights that are not safetensors: they can run code")

    @model_validator(mode="after")
    def runnable(self) -> OneJudge:
        """Refuse unknown kinds, and models in no place or in two."""
        if self.kind not in JUDGES:
            fault = Fault(("kind",), "no such judge", "one of " + listing(JUDGES), nearest(self.kind, JUDGES))
            raise faulty(fault)
        if self.kind == "keyword":
            if self.model is not None or self.endpoint is not None:
                raise faulty(Fault((), "keyword judges by phrases: it takes no model", "kind alone"))
        elif (self.model is None) == (self.endpoint is None):
            what = "neither model nor endpoint is given" if self.model is None else "model and endpoint are both given"
            raise faulty(Fault((), what, "model: a folder or hub name; or endpoint: a server"))
        if self.cache is not None and self.endpoint is None:
            raise faulty(Fault(("cache",), "a cache keeps a server's answers, and there is none", "endpoint beside it"))
        return self


class JudgeSettings(OneJudge):
    """``judge:``."""

    refusal: OneJudge | None = Field(default=None, description="who says what a refusal is, where the judge does not")

    @model_validator(mode="after")
    def complete(self) -> JudgeSettings:
        """Refuse a guard alone that says nothing of refusals, and a second opinion on them."""
        silent = self.kind in FORMATS and not FORMATS[self.kind].refusal
        able = [name for name in JUDGES if name not in FORMATS or FORMATS[name].refusal]
        if silent and self.refusal is None:
            what = f"{self.kind} does not say whether a response is a refusal"
            raise faulty(Fault(("refusal",), what, "a judge that does: kind: one of " + ", ".join(able)))
        if self.refusal is not None and not silent:
            raise faulty(Fault(("refusal",), f"{self.kind} says itself what a refusal is", "null"))
        if self.refusal is not None and self.refusal.kind not in able:
            raise faulty(Fault(("refusal", "kind"), "it does not judge refusals", "one of " + ", ".join(able)))
        return self


def model_judge(kind: str, settings: OneJudge) -> Judge:
    """A model that is asked in the format of that name."""
    form = FORMATS[kind]
    if settings.endpoint is not None:
        cache = Path(settings.cache) if settings.cache else None
        return EndpointJudge(form, shared(settings.endpoint), cache, settings.controversial)
    model, tokenizer = load_guard(str(settings.model), settings.dtype, settings.device, settings.allow_pickle)
    return GuardJudge(
        form, model, tokenizer, batch=settings.batch, max_prompt_tokens=settings.max_prompt_tokens,
        controversial=settings.controversial,
    )  # fmt: skip


#: Every judge that a config can name.
JUDGES: dict[str, Callable[[OneJudge], Judge]] = {
    "keyword": lambda settings: KeywordJudge(),
    "qwen3guard": partial(model_judge, "qwen3guard"),
    "wildguard": partial(model_judge, "wildguard"),
    "llama_guard": partial(model_judge, "llama_guard"),
    "llama_guard_4": partial(model_judge, "llama_guard_4"),
    "chat": partial(model_judge, "chat"),
}


def make_judge(settings: JudgeSettings) -> Judge:
    """The judge that `judge:` describes: both labels, or a parse error.

    Raises:
        RunError: its model is not there, or cannot be shown what it has to see.
    """
    judge = JUDGES[settings.kind](settings)
    return judge if settings.refusal is None else WithRefusal(judge, JUDGES[settings.refusal.kind](settings.refusal))
