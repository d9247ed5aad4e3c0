"""The ways of inference, in the order in which they are tried, and what becomes of each unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import torch
from torch import Tensor

from pyrocausal.engine.evidence import names_of_units
from pyrocausal.inference.coordinates import states_of
from pyrocausal.inference.enumeration import STATES, enumerated, refuse_continuous
from pyrocausal.inference.gaussian import gaussian_posterior
from pyrocausal.inference.inferred import Inferred, NoRoute, in_parts
from pyrocausal.inference.modes import by_modes, by_moments
from pyrocausal.inference.nuts import UNITS, by_nuts
from pyrocausal.inference.problem import Problem
from pyrocausal.inference.proposals import Proposal, by_guide, by_prior, unweighed
from pyrocausal.inference.walk import Walk

__all__ = ["GUIDED", "METHODS", "PROPOSALS", "Method", "Solved", "foreseen", "solve"]

Method = Literal["auto", "gaussian", "enumeration", "guide", "importance", "nuts"]
METHODS: Final = ("auto", "gaussian", "enumeration", "guide", "importance", "nuts")
PROPOSALS: Final = 1000
"""Proposals that are weighed for each unit, or the number of draws if that is more."""
GUIDED: Final = 400
"""Those of a guide, whose network costs more; units that they don't suffice for get others."""
MANY: Final = 16
"""How many times as many proposals a unit gets where these don't suffice, before chains are run."""
FEW: Final = 1000
"""Units that get so many."""
_ROWS: Final = 2**17  # rows that the program is run on at a time

Way = Callable[[Problem, int], tuple[Inferred, Tensor]]


@dataclass
class Solved:
    """The draws of one problem's units, each from the way that served it best.

    Attributes:
        problem: The problem.
        inferred: The draws.
        route: The number in ``METHODS`` of each unit's way, ``(units,)``.
        reasons: Way that was passed over to the reason.
    """

    problem: Problem
    inferred: Inferred
    route: Tensor
    reasons: dict[str, str] = field(default_factory=dict)


def solve(problem: Problem, draws: int, method: Method, guide: Proposal | None) -> Solved:
    """Infer what is missing, by the first way that serves each unit.

    Args:
        problem: The problem.
        draws: How many draws of each unit.
        method: A way, or ``"auto"`` for all in order: closed form, enumeration, the guide,
            weighted proposals, chains for the few units that these fail.
        guide: The guide that was attached, if any.

    Raises:
        NoRoute: No way there is; the text says why each was passed over.
    """
    if method in ("auto", "guide") and _stands_alone(guide, problem):
        found, _ = _guide(guide, problem, draws)
        return Solved(problem, found, _same_route(problem.size, "guide"))
    walk = Walk(
        problem.of(torch.arange(min(problem.size, 64), device="cpu")).with_noise("look"), 1
    )
    left = torch.arange(problem.size, device="cpu")
    solved: Solved | None = None
    reasons: dict[str, str] = {}
    for name, way in _ways(walk, guide):
        if name == "nuts" and solved is not None:
            # A chain has nowhere to start from where no proposal was possible.
            left = left[solved.inferred.ess[left.to(solved.inferred.ess.device)].cpu() > 0]
        if method not in ("auto", name) or not len(left):
            continue
        part = problem if len(left) == problem.size else problem.of(left)
        try:
            found, serves = way(part, draws)
        except NoRoute as refusal:
            reasons.setdefault(name, str(refusal))
            continue
        route = _same_route(len(left), name)
        if solved is None:
            solved = Solved(problem, found, route, reasons)
        else:
            _improve(solved, left, found, route)
        left = left[~serves.cpu()]
    if solved is None:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise NoRoute(why)
    if method == "gaussian" and len(left):
        units = names_of_units(
            torch.zeros(int(problem.units.max()) + 1, dtype=torch.bool, device="cpu").index_fill(
                0, problem.units[left], True
            )
        )
        raise NoRoute(f"a mean is not linear, or a scale not constant, for {units}")
    return solved


def foreseen(problem: Problem, guide: Proposal | None) -> tuple[str, str]:
    """Return the way that a problem would be given first, and why."""
    if _stands_alone(guide, problem):
        return "guide", "covered by the guide, its draws taken as they are"
    walk = Walk(problem.with_noise("look"), 1)
    try:
        holds = gaussian_posterior(problem, walk).holds
        if bool(holds.all()):
            return "gaussian", "it enters normal mechanisms linearly"
        refusal = "a mean is not linear, or a scale not constant"
    except NoRoute as refused:
        refusal = str(refused)
    try:
        refuse_continuous(problem)
        states = next(iter(states_of(problem, walk, STATES).values()))
        return "enumeration", f"{len(states)} states"
    except NoRoute:
        pass
    try:
        _covered(guide, problem)
        return "guide", "covered by the amortized guide, its draws weighed"
    except NoRoute as refused:
        lacking = f" and {refused}" if guide is not None else ""
        return "importance", f"weighed proposals, as {refusal}{lacking}"


def _same_route(units: int, way: str) -> Tensor:
    # What is noted of units stays on the CPU, wherever the work is done.
    return torch.full((units,), METHODS.index(way), device="cpu")


def _ways(walk: Walk, guide: Proposal | None) -> Iterator[tuple[str, Way]]:
    yield "gaussian", partial(_gaussian, walk)
    yield "enumeration", partial(_enumeration, walk)
    yield "guide", partial(_guide, guide)
    yield "importance", _importance
    yield "importance", _refined
    yield "importance", _thorough
    yield "nuts", _nuts


def _gaussian(walk: Walk, problem: Problem, draws: int) -> tuple[Inferred, Tensor]:
    holds: list[Tensor] = []

    def infer(part: Problem) -> Inferred:
        posterior = gaussian_posterior(part, walk)
        holds.append(posterior.holds)
        return posterior.draw(part, draws)

    size = sum(walk.found[n][0, 0].numel() for n in problem.missing)
    inferred = in_parts(problem, _ROWS // max(size + 1, draws), infer)
    serves = torch.cat(holds)
    if not bool(serves.any()):
        raise NoRoute("a mean is not linear, or a scale not constant, in what is missing")
    return _voided(inferred, serves), serves


def _enumeration(walk: Walk, problem: Problem, draws: int) -> tuple[Inferred, Tensor]:
    refuse_continuous(problem)
    number = len(next(iter(states_of(problem, walk, STATES).values()), ()))
    size = _ROWS // max(number, draws)
    inferred = in_parts(problem, size, lambda part: enumerated(part, walk, draws))
    return inferred, torch.ones_like(inferred.good)  # what is impossible stays so


def _guide(guide: Proposal | None, problem: Problem, draws: int) -> tuple[Inferred, Tensor]:
    covering = _covered(guide, problem)
    if not getattr(covering, "weighed", True):
        inferred = in_parts(problem, _ROWS // draws, partial(unweighed, covering, draws=draws))
        return inferred, inferred.good
    count = max(GUIDED, draws)
    infer = partial(by_guide, covering, draws=draws, count=count)
    inferred = in_parts(problem, _ROWS // count, infer)
    return inferred, inferred.good


def _stands_alone(guide: Proposal | None, problem: Problem) -> bool:
    """Whether a guide whose draws are taken as they are stands for the problem.

    It goes before all other ways: there are densities that are not to be had, or of so many
    numbers that weights would say nothing.
    """
    if getattr(guide, "weighed", True):
        return False
    try:
        _covered(guide, problem)
    except NoRoute:
        return False
    return True


def _covered(guide: Proposal | None, problem: Problem) -> Proposal:
    """Return the guide, where it stands for the problem."""
    if guide is None:
        raise NoRoute("no guide is attached; amortize() the SCM first")
    if problem.world and (problem.set_values is None or not getattr(guide, "weighed", True)):
        raise NoRoute("the guide stands for the SCM without such interventions")
    if not problem.whole:
        raise NoRoute("a variable is missing in part")
    if problem.limits:
        limited = ", ".join(problem.limits)
        raise NoRoute(f"the guide reads values, and {limited} is known up to limits")
    seen = frozenset({**problem.values, **(problem.set_values or {})})
    missing = frozenset(problem.missing)
    if problem.seen or not guide.covers(seen, missing):
        raise NoRoute(
            f"the guide doesn't cover {', '.join(sorted(missing))} given {', '.join(sorted(seen))}"
        )
    return guide


def _importance(problem: Problem, draws: int) -> tuple[Inferred, Tensor]:
    count = max(PROPOSALS, draws)
    try:
        inferred = in_parts(problem, _ROWS // count, partial(by_modes, draws=draws, count=count))
    except NoRoute:
        inferred = in_parts(problem, _ROWS // count, partial(by_prior, draws=draws, count=count))
    return inferred, inferred.good


def _refined(problem: Problem, draws: int) -> tuple[Inferred, Tensor]:
    count = max(PROPOSALS, draws)
    inferred = in_parts(problem, _ROWS // count, partial(by_moments, draws=draws, count=count))
    return inferred, inferred.good


def _thorough(problem: Problem, draws: int) -> tuple[Inferred, Tensor]:
    if problem.size > FEW:
        raise NoRoute(f"{problem.size} units are left; many proposals are made for at most {FEW}")
    count = MANY * max(PROPOSALS, draws)
    inferred = in_parts(problem, 4 * _ROWS // count, partial(by_modes, draws=draws, count=count))
    return inferred, inferred.good


def _nuts(problem: Problem, draws: int) -> tuple[Inferred, Tensor]:
    if problem.size > UNITS:
        raise NoRoute(f"{problem.size} units are left; chains are run for at most {UNITS}")
    inferred = by_nuts(problem, draws)
    return inferred, inferred.good


def _voided(inferred: Inferred, serves: Tensor) -> Inferred:
    # Where the closed form doesn't hold it gives nothing: the others start afresh.
    bad = torch.where(serves, inferred.khat, torch.inf)
    ess = torch.where(serves, inferred.ess, 0.0)
    return Inferred.without_weights(inferred.values, ess, bad, inferred.rhat)


def _improve(solved: Solved, left: Tensor, found: Inferred, route: Tensor) -> None:
    """Take over what another way found of some units, where it is better."""
    old = solved.inferred
    place = left.to(old.ess.device)
    worse = (found.khat > old.khat[place]) & ~found.good
    keep = worse & (old.ess[place] > 0)

    def merged(before: Tensor, after: Tensor) -> Tensor:
        before = before.clone()
        before[place] = torch.where(keep, before[place], after.to(before))
        return before

    values = {}
    for name, before in old.values.items():
        whole = before.clone()
        mask = keep.reshape(1, -1, *[1] * (before.dim() - 2))
        whole[:, place] = torch.where(mask, before[:, place], found.values[name])
        values[name] = whole
    stays = torch.ones(len(old.ess), dtype=torch.bool, device="cpu")
    stays[left] = keep.cpu()
    new = found.weights.where(~keep.cpu()).at(left, len(stays))
    solved.inferred = Inferred(
        values,
        merged(old.ess, found.ess),
        merged(old.khat, found.khat),
        merged(old.rhat, found.rhat),
        merged(old.even, found.even),
        old.weights.where(stays) + new,
    )
    solved.route[left] = torch.where(keep.cpu(), solved.route[left], route)
