"""From parameters to the program: the heads of a fit, on the scale of the data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pyrocausal.models.vluci_columns import Columns
from pyrocausal.models.vluci_features import Basis, Expansion
from pyrocausal.models.vluci_heads import OutcomeHead, TreatmentHead, network
from pyrocausal.models.vluci_likelihood import Likelihood
from pyrocausal.models.vluci_program import ProxyHead, VLUCIProgram

__all__ = ["build_program", "learn_bases", "program_rows", "widened"]

STEPS = 600
PATIENCE = 60
HELD_OUT = 5
"""One unit in so many is held out to stop a network early."""


def build_program(likelihood: Likelihood, theta: Tensor) -> VLUCIProgram:
    """Return the program with these parameters, in the default dtype.

    Args:
        likelihood: The likelihood, which knows bases and scales.
        theta: Its parameters, shape ``(p,)``; the sign of U is chosen so that gamma >= 0.
    """
    columns, slots, form = likelihood.columns, likelihood.slots, likelihood.form
    sign = 1.0 if float(theta[slots["gamma"]]) >= 0 else -1.0
    parts = likelihood.parts(theta)
    to_t, to_y, to_effect = (_moved(basis, columns) for basis in likelihood.bases)
    assert to_t is not None
    assert to_y is not None
    treatment = TreatmentHead(to_t, 1, link=form.link)
    arms = 1 + (form.arms == "separate")
    outcome = OutcomeHead(
        to_y, to_effect, 1, form.outcome, arms, loc=likelihood.loc, scale=likelihood.scale
    )
    values = {
        treatment.weights: theta[slots["a"]][:, None],
        treatment.loading: sign * parts.gamma,
        outcome.weights: theta[slots["b"]],
        outcome.effect: torch.cat([theta[slots["ate"]], theta[slots["effect"]]])[:, None],
        outcome.loading: sign * parts.g[:arms, None],
        outcome.log_s: parts.s[:arms].clamp_min(1e-4).log(),
    }
    proxies = None
    if columns.roles["proxies"]:
        proxies = ProxyHead(len(columns.roles["proxies"]))
        scale = likelihood.w_scale
        values |= {
            proxies.intercept: likelihood.w_loc + scale * theta[slots["c"]],
            proxies.loading: sign * scale * theta[slots["lambda"]],
            proxies.log_s: scale.log() + theta[slots["log_s_w"]],
        }
    with torch.no_grad():
        for parameter, value in values.items():
            parameter.copy_(value.expand_as(parameter))
    rows = program_rows(columns, columns.x)
    return VLUCIProgram(rows, treatment, outcome, proxies=proxies)


def widened(
    program: VLUCIProgram, latent_dim: int, hidden: tuple[int, ...], seed: int
) -> VLUCIProgram:
    """Return the program with more dimensions of U, or with free effects of it.

    The first dimension starts as it was, the others with small loadings, and free effects as
    none at all: the program says what it said.

    Args:
        program: The program of the exact fit.
        latent_dim: Dimension of U.
        hidden: Sizes of the layers of free effects; none for linear effects.
        seed: Of the loadings and networks; no global generator moves.
    """
    t, y = program.treatment, program.outcome
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        treatment = TreatmentHead(t.basis, latent_dim, t.family, t.link, hidden=hidden)
        outcome = OutcomeHead(
            y.basis,
            y.effects,
            latent_dim,
            y.family,
            y.arms,
            loc=float(y.loc),
            scale=float(y.scale),
            hidden=hidden,
        )
        for new, old in ((treatment, t), (outcome, y)):
            state = new.state_dict()
            loading = 0.1 * torch.randn_like(state["loading"])
            places = (slice(None), slice(0, 1)) if new is outcome else (slice(0, 1),)
            loading[places] = old.loading.detach()
            state.update({k: v for k, v in old.state_dict().items() if k != "loading"})
            new.load_state_dict({**state, "loading": loading})
            if new.free is not None:
                _silence(new.free, latent_dim)
    return VLUCIProgram(program.rows, treatment, outcome, latent_dim, program.proxies)


def _silence(net: nn.Sequential, latent_dim: int) -> None:
    """Make a network 0, and blind to U, its last inputs, also once it has learned without U."""
    first, last = net[0], net[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        first.weight[:, -latent_dim:] = 0.0
        last.weight.zero_()
        last.bias.zero_()


def program_rows(columns: Columns, x: Tensor) -> Tensor:
    """Return the covariates that are the root ``x``: all but the proxies, in the default dtype."""
    return x[:, columns.positions("proxies")].to(torch.get_default_dtype())


def _moved(basis: Basis | None, columns: Columns) -> Basis | None:
    """Return a copy that reads from the covariates without the proxies, in the default dtype."""
    if basis is None:
        return None
    kept = columns.positions("proxies")
    moved = copy.deepcopy(basis).to(torch.get_default_dtype())
    moved.places = [kept.index(place) for place in basis.places]
    return moved


def learn_bases(
    columns: Columns,
    outcome: str,
    varying: bool,
    expansion: Expansion,
    hidden: Sequence[int],
    seed: int,
) -> tuple[Basis, Basis, Basis | None]:
    """Return the bases of treatment, outcome and effect; networks are learned without U first.

    Args:
        columns: The data.
        outcome: Family of the outcome.
        varying: Whether the effect varies with the covariates.
        expansion: Of the columns, where no network is asked for.
        hidden: Sizes of the layers of the networks; none for no networks.
        seed: Of their training; no global generator moves.
    """
    x, trunks = columns.x, [None, None]
    if hidden:
        trunks = _trunks(columns, outcome, tuple(hidden), seed)  # type: ignore[assignment]
    to_t = Basis(x, columns.treatment_side, expansion, trunks[0])
    to_y = Basis(x, columns.outcome_side, expansion, trunks[1])
    return to_t, to_y, to_y if varying else None


def _trunks(columns: Columns, outcome: str, hidden: tuple[int, ...], seed: int) -> list[nn.Module]:
    """Train a network for treatment and one for the outcome's two arms; return their last layers."""
    t = columns.t
    y = columns.y if outcome == "bernoulli" else (columns.y - columns.y.mean()) / columns.y.std()
    binary = nn.functional.binary_cross_entropy_with_logits

    def treated(out: Tensor, rows: Tensor) -> Tensor:
        return binary(out[:, 0], t[rows])

    def answered(out: Tensor, rows: Tensor) -> Tensor:
        index = torch.where(t[rows] > 0.5, out[:, 1], out[:, 0])
        if outcome == "bernoulli":
            return binary(index, y[rows])
        return ((index - y[rows]) ** 2).mean() / 2

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sides = ((columns.treatment_side, 1, treated), (columns.outcome_side, 2, answered))
        return [
            _early_stopped(Basis(columns.x, places), columns.x, outputs, hidden, loss)
            for places, outputs, loss in sides
        ]


def _early_stopped(
    plain: Basis,
    x: Tensor,
    outputs: int,
    hidden: tuple[int, ...],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> nn.Module:
    z = plain.standardised(x)
    rows = torch.randperm(len(z))
    held, kept = rows[: len(z) // HELD_OUT], rows[len(z) // HELD_OUT :]
    net = network(z.shape[1], outputs, hidden).to(torch.float64)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    best, state, waited = float("inf"), copy.deepcopy(net.state_dict()), 0
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(net(z[kept]), kept).backward()
        optimizer.step()
        with torch.no_grad():
            score = float(loss(net(z[held]), held))
        waited += 1
        if score < best:
            best, state, waited = score, copy.deepcopy(net.state_dict()), 0
        if waited > PATIENCE:
            break
    net.load_state_dict(state)
    return nn.Sequential(*list(net)[:-1]).requires_grad_(False)
