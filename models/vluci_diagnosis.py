"""What a fit of VLUCI rests on, and what the data can't tell: verdict and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from pyrocausal.errors import NotIdentified
from pyrocausal.graph import CausalGraph
from pyrocausal.identification import identify, instruments
from pyrocausal.models.vluci_columns import Columns
from pyrocausal.models.vluci_profile import Profile

__all__ = ["Diagnosis", "diagnose", "first_stage", "role_graph", "verdict"]

WEAK: Final = 10.0
ASKED: Final = 3.84
NEAR: Final = 2.0
EXTREME: Final = 0.01
FEW_EXTREME: Final = 0.05


@dataclass(frozen=True)
class Diagnosis:
    """What a fit rests on.

    Attributes:
        f: First-stage F of the instruments; None without any.
        withheld: Why there is no point, empty where there is one.
        warnings: What may be wrong.
        verdict: What the graph of the roles says of identification.
    """

    f: float | None
    withheld: tuple[str, ...]
    warnings: tuple[str, ...]
    verdict: str


def diagnose(columns: Columns, profile: Profile, e: Tensor, se: float) -> Diagnosis:
    """Judge a fit.

    Args:
        columns: The data.
        profile: The profile of the likelihood.
        e: The twin's probabilities of treatment, shape ``(n,)``.
        se: Standard error of the twin's effect.
    """
    f = first_stage(columns)
    withheld: list[str] = []
    if f is None:
        withheld.append(
            "no instrument is declared: without one the answer comes from the functional form, or "
            "from the optimizer; read the set under a bound on U's strength"
        )
    elif f < WEAK:
        withheld.append(f"the instruments are weak: first-stage F = {f:.3g} < 10")
    unasked = []
    if profile.ratio < ASKED:
        unasked = [f"the data do not ask for U: 2 (l_max - l_twin) = {profile.ratio:.3g} < 3.84"]
    told = [*withheld, *unasked]
    if f is not None:
        withheld = told
    warnings = [*columns.notes, *told, *_modes(profile, se), *_overlap(e)]
    return Diagnosis(f, tuple(withheld), tuple(warnings), verdict(columns))


def _modes(profile: Profile, se: float) -> list[str]:
    best = profile.best
    rivals = [
        mode.ate
        for mode in profile.modes[1:]
        if best.log_likelihood - mode.log_likelihood < NEAR and abs(mode.ate - best.ate) > se
    ]
    if not rivals:
        return []
    listed = ", ".join(f"{ate:.3g}" for ate in rivals)
    return [f"modes within 2 nats disagree: {best.ate:.3g} against {listed}"]


def _overlap(e: Tensor) -> list[str]:
    share = float(((e < EXTREME) | (e > 1 - EXTREME)).to(torch.float64).mean())
    if share <= FEW_EXTREME:
        return []
    return [
        f"overlap: {100 * share:.0f} % of the units have a probability of treatment below 0.01 or "
        "above 0.99; its log odds are penalised (prior standard deviation 5 over units), and what "
        "those units would have been is extrapolated"
    ]


def first_stage(columns: Columns) -> float | None:
    """Return the F statistic of the instruments in the regression of t; None without any."""
    places = columns.roles["instruments"]
    if not places:
        return None
    others = [place for place in columns.treatment_side if place not in places]
    without = _squares(columns, others)
    within = _squares(columns, columns.treatment_side)
    df = len(columns.t) - len(columns.treatment_side) - 1
    return (without - within) / len(places) / (within / df)


def _squares(columns: Columns, places: list[int]) -> float:
    design = torch.cat([torch.ones_like(columns.t)[:, None], columns.x[:, places]], 1)
    solution = torch.linalg.lstsq(design, columns.t[:, None], driver="gelsd").solution
    return float(((columns.t[:, None] - design @ solution) ** 2).sum())


def role_graph(columns: Columns) -> CausalGraph:
    """Return the graph of the roles: x, z (instruments), v (outcome-only), w (proxies), t, y, u."""
    edges = [("u", "t"), ("u", "y"), ("t", "y")]
    roles = columns.roles
    edges += [("x", "t"), ("x", "y")] if columns.common else []
    edges += [("z", "t")] if roles["instruments"] else []
    edges += [("v", "y")] if roles["outcome_only"] else []
    edges += [("u", "w")] if roles["proxies"] else []
    return CausalGraph(edges, latent=["u"])


def verdict(columns: Columns) -> str:
    """Return what the graph of the roles says of the effect, with nothing assumed of its form."""
    graph = role_graph(columns)
    try:
        return str(identify(graph, "y", do="t"))
    except NotIdentified as error:
        text = str(error).split(". ")[0]
    lines = [f"{text}."]
    if columns.roles["instruments"]:
        names = [columns.names[place] for place in columns.roles["instruments"]]
        found = instruments(graph, outcome="y", do="t")
        what = "an instrument" if found else "no instrument"
        lines.append(
            f"With {', '.join(names)} as {what}, it is if U doesn't modify the effect, or by the "
            "form of the heads."
        )
    if len(columns.roles["proxies"]) >= 3:
        lines.append("Three or more proxies identify the loadings of a linear U.")
    return " ".join(lines)
