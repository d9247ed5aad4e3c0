"""Completing evidence: draws of what is missing above it, so that abduction is exact again."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from pyrocausal.engine.evidence import Evidence, names_of_units
from pyrocausal.engine.querying import Query
from pyrocausal.errors import IncompleteEvidence, UnreliableWarning
from pyrocausal.inference.choosing import METHODS, PROPOSALS, Method, Solved, solve
from pyrocausal.inference.inferred import Completion, NoRoute, Quality
from pyrocausal.inference.patterns import Pattern
from pyrocausal.inference.problem import Problem, problem_of
from pyrocausal.inference.proposals import Proposal
from pyrocausal.inference.raw_weights import RawWeights
from pyrocausal.interventions import Edge, Mechanism, Stochastic, World

__all__ = ["complete"]


def complete(
    query: Query,
    evidence: Evidence,
    patterns: Sequence[Pattern],
    draws: int,
    *,
    world: World = (),
    shared: Mapping[str, Tensor] | None = None,
    method: Method = "auto",
    guide: Proposal | None = None,
) -> Completion:
    """Draw the values of the missing variables that stand above evidence.

    Args:
        query: The program and its arguments.
        evidence: What was seen.
        patterns: What has to be inferred for which units.
        draws: How many draws of each unit.
        world: Interventions that were in force when the evidence was seen.
        shared: Values of the variables that all units share.
        method: A way of inference, or ``"auto"`` for the best there is.
        guide: The guide that was attached, if any.

    Raises:
        IncompleteEvidence: There is no way to infer what is missing.
        ValueError: Evidence that is impossible; a method that the problem does not allow.
    """
    answers: list[Solved] = []
    for pattern in patterns:
        for component in pattern.components:
            _refuse_redrawn(component.missing, world)
            problem = problem_of(query, evidence, pattern, component, world, shared or {})
            try:
                solved = solve(problem, draws, method, guide)
            except NoRoute as refusal:
                raise _without_route(problem, method, str(refusal)) from None
            _refuse_impossible(solved)
            answers.append(solved)
    if not answers:
        return Completion()
    completion = _joined(answers, query, evidence, draws)
    _warn(answers)
    return completion


def _refuse_redrawn(missing: Iterable[str], world: World) -> None:
    for item in world:
        if isinstance(item, Edge) or item[0] not in missing:
            continue
        if isinstance(item[1], Stochastic | Mechanism):
            raise IncompleteEvidence(
                f"{item[0]!r} was given a new mechanism, and something below it was observed: what "
                f"it became has to be inferred, which is not supported. Give {item[0]!r} as "
                "evidence in the SCM without that intervention, or set it to a value."
            )


def _without_route(problem: Problem, method: str, why: str) -> Exception:
    names = ", ".join(map(repr, problem.missing))
    verb = "is" if len(problem.missing) == 1 else "are"
    below = problem.told
    units = names_of_units(_mask([problem.units], int(problem.units.max()) + 1))
    if method == "auto":
        return IncompleteEvidence(
            f"{names} {verb} missing for {units} but {below} below was observed, and there is no "
            f"way to infer what is missing ({why}). Give {names} as evidence, or leave {below} out."
        )
    return ValueError(
        f"method={method!r} can't infer {names} for {units}: {why}. Leave method out for the "
        "best way there is, or see plan()."
    )


def _refuse_impossible(solved: Solved) -> None:
    impossible = solved.inferred.ess.cpu() == 0
    if not bool(impossible.any()):
        return
    problem = solved.problem
    units = names_of_units(_mask([problem.units[impossible]], int(problem.units.max()) + 1))
    exact = bool((solved.route[impossible] == METHODS.index("enumeration")).all())
    what = "any values" if exact else f"none of {PROPOSALS} proposals"
    raise ValueError(
        f"The evidence is impossible for {units}: "
        + (
            f"no values of {problem.name} give it"
            if exact
            else f"{what} for {problem.name} gives it"
        )
        + f" positive probability. Correct {problem.told}, or give NaN "
        "there."
    )


def _joined(answers: Sequence[Solved], query: Query, evidence: Evidence, draws: int) -> Completion:
    values: dict[str, Tensor] = {}
    known: dict[str, Tensor] = {}
    device, units = query.device, evidence.units
    weights: dict[tuple[str, ...], RawWeights] = {}
    ess = torch.full((units,), torch.inf, dtype=torch.float64, device=device)
    khat, rhat = -ess, torch.ones_like(ess)
    unreliable = torch.zeros(units, dtype=torch.bool, device=device)
    for solved in answers:
        problem, inferred = solved.problem, solved.inferred
        place = problem.units.to(device)
        for name in problem.missing:
            variable = query.variables[name]
            if name not in values:
                shape = (draws, 1, units, *variable.unit_shape)
                values[name] = torch.zeros(shape, dtype=variable.dtype, device=device)
                known[name] = torch.zeros(units, *variable.inner, dtype=torch.bool, device=device)
            values[name][:, 0, place] = inferred.values[name]
            known[name][place] = problem.absent(name)
        ess[place] = torch.minimum(ess[place], inferred.ess)
        khat[place] = torch.maximum(khat[place], inferred.khat)
        rhat[place] = torch.maximum(rhat[place], inferred.rhat)
        unreliable[place] |= ~inferred.good
        if inferred.weights.blocks:
            raw = inferred.weights.at(problem.units, units)
            weights[problem.missing] = weights.get(problem.missing, RawWeights(units)) + raw
    quality = Quality(weights, ess, khat, rhat, unreliable)
    return Completion(values, known, _routes(answers), quality)


def _routes(answers: Sequence[Solved]) -> dict[str, str]:
    """Return each variable's ways, those of the most units first."""
    counts: dict[str, dict[str, int]] = {}
    for solved in answers:
        for number, count in zip(*solved.route.unique(return_counts=True), strict=True):
            for name in solved.problem.missing:
                ways = counts.setdefault(name, {})
                way = METHODS[int(number)]
                ways[way] = ways.get(way, 0) + int(count)
    return {name: _ways(ways) for name, ways in counts.items()}


def _ways(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    if len(ordered) == 1:
        return ordered[0][0]
    return " + ".join(f"{way} of {n} unit{'s' * (n != 1)}" for way, n in ordered)


def _warn(answers: Sequence[Solved]) -> None:
    for solved in answers:
        bad = ~solved.inferred.good.cpu()
        if not bool(bad.any()):
            continue
        problem, inferred = solved.problem, solved.inferred
        units = names_of_units(_mask([problem.units[bad]], int(problem.units.max()) + 1))
        why = "; ".join(f"{name}: {reason}" for name, reason in solved.reasons.items())
        khat, rhat = (float(one.cpu()[bad].max()) for one in (inferred.khat, inferred.rhat))
        told = [f"k-hat is up to {khat:.2f} (0.7 is the limit)"] * (khat > -torch.inf)
        told += [f"R-hat is up to {rhat:.2f} (1.05 is the limit)"] * (rhat > 1)
        warnings.warn(
            f"The draws of {problem.name} can't be relied on for {units}: {', '.join(told)}. "
            + (f"Ways that were not open: {why}. " if why else "")
            + "Amortize a guide for this evidence, or ask about fewer units at a time.",
            UnreliableWarning,
            stacklevel=2,
        )


def _mask(units: Sequence[Tensor], size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool, device="cpu")
    for part in units:
        mask[part] = True
    return mask
