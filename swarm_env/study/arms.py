"""From an annotation to scenarios: the arms of its study."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from swarm_env.catalog import load_scenario
from swarm_env.core.governance import LEVERS
from swarm_env.evaluation.paired import names
from swarm_env.scenario import Scenario, ScenarioError
from swarm_env.scenario.errors import Key, Problem, dotted, listing, nearest, show
from swarm_env.study.annotation import ALWAYS_ON, BASELINE, TARGETED, Annotation, Role

UNGOVERNED: dict[str, Any] = {"governance": None}  #: every lever at its default, which is off


class Arm(NamedTuple):
    """A variant of the study's scenario."""

    name: str
    text: str  # what it is
    scenario: Scenario


def build_arms(annotation: Annotation, path: str | os.PathLike[str]) -> dict[str, Arm]:
    """The arms by name: baseline, always_on, targeted, one without each lever, shares of roles, the annotation's own.

    Raises:
        ScenarioError: a scenario or override that does not load, levers that are not those of the roles, a claim about
            an arm that there is not, an arm that is named twice.
    """
    build = _Builder(annotation, path)
    arms = build.standard()
    for role in annotation.roles:
        for k, share in enumerate(role.shares):
            arms += build.share(role, k, share)
    arms += build.own()
    named: dict[str, Arm] = {}
    for arm in arms:
        if arm.name in named:
            build.refuse(("arms",), arm.name, f"{show(arm.name)} is an arm of its own already", "another name")
        named[arm.name] = arm
    build.check_claims(named)
    return named


class _Builder:
    """What the arms have in common."""

    def __init__(self, annotation: Annotation, path: str | os.PathLike[str]) -> None:
        self.annotation, self.file = annotation, os.fspath(path)
        beside = Path(self.file).parent / annotation.scenario
        self.base = load_scenario(str(beside) if beside.is_file() else annotation.scenario)
        self.targeted = self.load(self.base, annotation.targeted, ("targeted",))

    def refuse(self, key: Key, value: Any, what: str, allowed: str, hint: str = "") -> None:
        raise ScenarioError([Problem(self.file, dotted(key), value, what, allowed, hint)])

    def load(self, base: Scenario, overrides: Mapping[str, Any], key: Key) -> Scenario:
        """The scenario with the overrides; errors name the annotation and the key that holds them."""
        try:
            return load_scenario(base, overrides)
        except ScenarioError as error:
            problems = [p._replace(file=self.file, key=f"{dotted(key)}: {p.key}", line=None) for p in error.problems]
            raise ScenarioError(problems, error.unlisted) from None

    def standard(self) -> list[Arm]:
        """What every study has."""
        self._check_levers()
        levers = self.annotation.levers
        always_on = self.load(self.targeted, self.annotation.always_on, ("always_on",))
        if always_on == self.targeted:
            self.refuse(("always_on",), self.annotation.always_on, "changes nothing", "overrides that open the gates")
        made = [
            Arm(BASELINE, "no governance", self.load(self.targeted, UNGOVERNED, (BASELINE,))),
            Arm(ALWAYS_ON, _said(self.annotation.always_on), always_on),
            Arm(TARGETED, f"targeted intervention: {', '.join(levers)}", self.targeted),
        ]
        for lever in levers if len(levers) > 1 else ():  # without its only lever it is the baseline
            made.append(Arm(f"without_{lever}", f"targeted, {lever} off", without(self.targeted, lever)))
        return made

    def _check_levers(self) -> None:
        """The levers that act in the targeted arm are those that the roles stand for, and the other way round."""
        acting = [lever for lever in LEVERS if is_on(self.targeted, lever)]
        for i, role in enumerate(self.annotation.roles):
            for k, lever in enumerate(role.levers):
                if lever not in acting:
                    what = f"{show(lever)} is off in the targeted arm"
                    self.refuse(("roles", i, "levers", k), lever, what, f"{', '.join(acting) or 'none is on'}")
        spare = [lever for lever in acting if lever not in self.annotation.levers]
        if spare:
            what = f"{show(spare[0])} is on in the targeted arm, and no role has it"
            self.refuse(("roles",), spare[0], what, "a role for every lever that is on")

    def share(self, role: Role, k: int, share: float) -> list[Arm]:
        """The same number of agents, so many of them of the role's archetypes; governed and not."""
        i, name = self.annotation.roles.index(role), f"{role.name}_{share:.2f}"
        counts = self._counts(("roles", i, "shares", k), role, share)
        text = f"{role.name} {sum(n for t, n in counts if t in role.archetypes)} of {self.targeted.num_agents} agents"
        overrides = {"agents": [self._group(g, n) for g, (_, n) in enumerate(counts) if n]}
        scenario = self.load(self.targeted, overrides, ("roles", i, "shares", k))
        bare = self.load(scenario, UNGOVERNED, ("roles", i, "shares", k))
        return [Arm(name, text, scenario), Arm(f"{name}_ungoverned", f"{text}, no governance", bare)]

    def _group(self, g: int, count: int) -> dict[str, Any]:
        return {**self.targeted.to_dict()["agents"][g], "count": count}

    def _counts(self, key: Key, role: Role, share: float) -> list[tuple[str, int]]:
        """(type, count) of every group of agents: proportions within role and rest stay, by largest remainders."""
        groups = [(group.type, group.count) for group in self.targeted.agents]
        inside = [t in role.archetypes for t, _ in groups]
        total, wanted = self.targeted.num_agents, round(share * self.targeted.num_agents)
        if not any(inside) or all(inside):
            who = "all" if all(inside) else "none"
            self.refuse(key, share, f"{who} of the scenario's agents are of the role", "a role that some of them have")
        if not 0 < wanted < total:
            self.refuse(
                key, share, f"{show(share)} of {total} agents is {wanted}", f"a share that leaves 1..{total - 1}"
            )
        counts = [0] * len(groups)
        for side, seats in ((True, wanted), (False, total - wanted)):
            members = [g for g in range(len(groups)) if inside[g] is side]
            for g, n in zip(members, _apportion([groups[g][1] for g in members], seats), strict=True):
                counts[g] = n
        return [(t, n) for (t, _), n in zip(groups, counts, strict=True)]

    def own(self) -> list[Arm]:
        """The annotation's own."""
        return [
            Arm(arm.name, arm.text or _said(arm.set), self.load(self.targeted, arm.set, ("arms", i, "set")))
            for i, arm in enumerate(self.annotation.arms)
        ]

    def check_claims(self, arms: Mapping[str, Arm]) -> None:
        """Claims speak of arms that there are, and of archetypes in them."""
        for i, claim in enumerate(self.annotation.claims):
            condition = claim.condition
            if condition is None:
                continue
            for key, name in (("arm", condition.arm), ("against", condition.against)):
                if name is None:
                    continue
                where: Key = ("claims", i, "condition", key)
                if name not in arms:
                    self.refuse(where, name, f"unknown arm {show(name)}", listing(arms, name), nearest(name, arms))
                has = names(arms[name].scenario)
                if claim.metric not in has:
                    what = f"arm {name} has no {show(claim.metric)}"
                    self.refuse(("claims", i, "metric"), claim.metric, what, listing(has, claim.metric, 8))
            if condition.arm == condition.against:
                self.refuse(
                    ("claims", i, "condition"), condition.arm, f"{show(condition.arm)} is compared with itself",
                    "two arms, or no against",
                )  # fmt: skip


def _said(overrides: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.removeprefix('governance.')} {show(value)}" for key, value in overrides.items())


def _apportion(weights: list[int], seats: int) -> list[int]:
    """Seats by largest remainders (Hamilton's method), ties to the first."""
    exact = [weight * seats / sum(weights) for weight in weights]
    given = [int(part) for part in exact]
    for g in sorted(range(len(weights)), key=lambda g: given[g] - exact[g])[: seats - sum(given)]:
        given[g] += 1
    return given


def _switch(lever: str) -> tuple[str, ...]:
    """The settings that turn a lever off at their defaults: its switch, or, where it has none, all it has."""
    fields = tuple(LEVERS[lever].Config.model_fields)
    return tuple(name for name in fields if name.endswith("_enabled")) or fields


def is_on(scenario: Scenario, lever: str) -> bool:
    """Whether the lever is turned on."""
    config = LEVERS[lever].Config()
    return any(getattr(scenario.governance, name) != getattr(config, name) for name in _switch(lever))


def without(scenario: Scenario, lever: str) -> Scenario:
    """The scenario with that lever off; other levers keep settings that they share with it."""
    return load_scenario(scenario, {f"governance.{name}": None for name in _switch(lever)})
