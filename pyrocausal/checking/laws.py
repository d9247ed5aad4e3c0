"""The laws of counterfactuals, held against a user's own program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from pyrocausal.checking.findings import Finding
from pyrocausal.checking.subject import Subject, Values
from pyrocausal.engine.rows import over_events
from pyrocausal.errors import NotAbducible

__all__ = ["laws"]

_UNITS: Final = 64
_ROUNDING: Final = 1e-4
"""Parts of a variable's largest value by which rounding may move it."""

Worlds = Sequence[Values]
Ask = Callable[[list[Values]], list[Values]]


def laws(subject: Subject) -> list[Finding]:
    """Hold composition, effectiveness and reversibility against simulated units.

    *Composition*: doing nothing, or setting a variable to its factual value, changes nothing.
    *Effectiveness*: a variable that is set has the value it was set to.
    *Reversibility*: if setting W to w makes Y be y, and setting Y to y makes W be w, then Y is y.

    Args:
        subject: The SCM.

    Returns:
        A finding for each law.

    References:
        Galles, Pearl (1998), An axiomatic characterization of causal counterfactuals.
        Halpern (2000), Axiomatizing causal reasoning.
    """
    drawn, inputs = subject.simulate(_UNITS, "laws")
    values = {name: v for name, v in drawn.items() if name not in subject.scm.latent}
    options: dict[str, Any] = {"inputs": inputs or None, "seed": subject.key("laws, noise")}
    try:
        with subject.noting():
            abduction = subject.scm.abduct(values, method=subject.method(values), **options)
    except NotAbducible as error:
        return [Finding("laws", error.site, "", f"not checked: {error}", None)]

    def ask(worlds: list[Values]) -> list[Values]:
        found = subject.scm.counterfactual(values, worlds, abduction=abduction, **options)
        return [{name: v[place] for name, v in found.items()} for place in range(len(worlds))]

    factual = {name: value[0, 0] for name, value in abduction.factual.items()}
    names = [v.name for v in subject.units]
    other = {name: factual[name].roll(1, 0) for name in names}
    untouched, *kept = ask([{}, *({name: factual[name]} for name in names)])
    moved = dict(zip(names, ask([{name: other[name]} for name in names]), strict=True))
    edges = [edge for edge in subject.scm.graph.edges if moved.keys() >= set(edge)]
    return [
        _finding(
            "composition",
            {
                name: max(_between(untouched, factual), _between(world, factual))
                for name, world in zip(names, kept, strict=True)
            },
            "a variable set to its factual value CHANGES THE WORLD",
        ),
        _finding(
            "effectiveness",
            {name: _distance(world[name], other[name]) for name, world in moved.items()},
            "a variable HAS NOT THE VALUE that it was set to",
        ),
        _finding(
            "reversibility",
            _reversed(edges, [*moved.items(), (None, untouched)], ask),
            "a variable is NOT WHAT IT AND ITS CAUSE AGREE UPON",
        ),
    ]


def _reversed(
    edges: Sequence[tuple[str, str]], worlds: Sequence[tuple[str | None, Values]], ask: Ask
) -> dict[str, float]:
    """Return how far each effect is from a value that it and a cause bring about in each other.

    A third variable is set, where there is one. Half of the units are offered their own value of
    the cause, for which both premises hold, the others that of another unit.
    """
    if not edges:
        return {}
    moved = dict(worlds)
    third = [next(x for x in moved if x not in edge) for edge in edges]
    held = [{} if x is None else {x: moved[x][x]} for x in third]
    offers = [_offer(moved[x][w]) for (w, _), x in zip(edges, third, strict=True)]
    by_cause = ask([{**h, w: v} for h, (w, _), v in zip(held, edges, offers, strict=True)])
    reached = [world[y] for world, (_, y) in zip(by_cause, edges, strict=True)]
    by_effect = ask([{**h, y: v} for h, (_, y), v in zip(held, edges, reached, strict=True)])
    found: dict[str, float] = {}
    for place, (w, y) in enumerate(edges):
        agreed = _near(by_effect[place][w], offers[place])
        off = _distance(moved[third[place]][y][agreed], reached[place][agreed])
        found[y] = max(found.get(y, 0.0), off)
    return found


def _offer(value: Tensor) -> Tensor:
    own = (torch.arange(len(value)) % 2 == 0).to(value.device)
    return torch.where(over_events(own, value), value, value.roll(1, 0))


def _between(found: Values, expected: Values) -> float:
    """Return the largest distance over all variables."""
    return max(_distance(found[name], value) for name, value in expected.items())


def _distance(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, in parts of the largest value."""
    if not expected.numel():
        return 0.0
    found, expected = found.double(), expected.double()
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    return float(((found - expected).abs().max() / scale).nan_to_num(nan=torch.inf))


def _near(found: Tensor, expected: Tensor) -> Tensor:
    """Say for which units two values agree."""
    found, expected = found.double(), expected.double()
    near = (found - expected).abs() <= _ROUNDING * expected.abs().max()
    return near.reshape(len(near), -1).all(1)


def _finding(law: str, deviations: Mapping[str, float], wrong: str) -> Finding:
    broken = {name: off for name, off in deviations.items() if off > _ROUNDING}
    worst = max(deviations.values(), default=0.0)
    return Finding(
        law,
        ", ".join(broken) or "all",
        f"largest deviation {worst:.1g}",
        wrong if broken else "holds",
        bool(broken),
        worst,
    )
