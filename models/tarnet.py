"""TARNet and CFR: a representation of the covariates with one outcome head for each arm."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from pyrocausal.answers import Effect
from pyrocausal.mechanisms.base import check_counts
from pyrocausal.model import SCM
from pyrocausal.models.balance import linear_mmd, rbf_mmd, wasserstein
from pyrocausal.models.tarnet_program import TARNetProgram
from pyrocausal.models.vluci_columns import Columns, read_columns, read_matrix
from pyrocausal.models.vluci_features import Basis
from pyrocausal.models.vluci_heads import network

__all__ = ["TARNet", "TARNetResult"]

Metric = Literal["linear_mmd", "rbf_mmd", "wasserstein"]
METRICS = {"linear_mmd": linear_mmd, "rbf_mmd": rbf_mmd, "wasserstein": wasserstein}
Outcome = Literal["normal", "bernoulli"]


class TARNet:
    r"""Treatment-agnostic representation network, and with ``alpha > 0`` counterfactual regression.

    .. math::
        \min \frac1n \sum_i w_i \, \ell(h_{t_i}(\Phi(x_i)), y_i)
        + \alpha \, IPM(\Phi_1, \Phi_0) + \lambda |W_h|^2, \quad
        w = \frac{t}{2p} + \frac{1-t}{2(1-p)}

    with :math:`p` the mean of t, and a normalised :math:`\Phi` (else the distance shrinks with its
    scale). It assumes that the covariates account for all confounding, and overlap.

    Args:
        alpha: Weight of the distance between the arms' representations; 0 is TARNet.
        ipm: The distance: ``"wasserstein"``, ``"linear_mmd"`` or ``"rbf_mmd"``.
        outcome: Family of the outcome, ``"normal"`` or ``"bernoulli"``.
        representation: Sizes of the layers of the representation.
        heads: Sizes of the layers of each head.
        weight_decay: lambda, on the heads.
        epochs: At most so many.
        patience: Epochs without a better loss of the 30 % held out before stopping.
        batch_size: Units a step.

    Raises:
        ValueError: A negative alpha, a distance or family that there is none of.

    Example:
        >>> x, t = torch.randn(100, 3), torch.arange(100) % 2
        >>> fit = TARNet(representation=(8,), heads=(8,), epochs=2).fit(x, t, x[:, 0] + t)
        >>> fit.cate(x[:5]).shape
        torch.Size([5])

    References:
        Shalit, Johansson, Sontag (2017), Estimating individual treatment effect: generalization
        bounds and algorithms.
    """

    def __init__(
        self,
        alpha: float = 0.0,
        ipm: Metric = "wasserstein",
        outcome: Outcome = "normal",
        representation: Sequence[int] = (200, 200, 200),
        heads: Sequence[int] = (100, 100),
        weight_decay: float = 1e-4,
        epochs: int = 300,
        patience: int = 30,
        batch_size: int = 100,
    ) -> None:
        check_counts(representation, "representation")
        check_counts(heads, "heads")
        if not alpha >= 0:
            raise ValueError(f"TARNet got alpha={alpha!r}; expected a weight from 0.")
        if ipm not in METRICS:
            raise ValueError(f"TARNet got ipm={ipm!r}; expected one of {', '.join(METRICS)}.")
        if outcome not in get_args(Outcome):
            raise ValueError(f"TARNet got outcome={outcome!r}; expected 'normal' or 'bernoulli'.")
        self.alpha, self.ipm, self.outcome = alpha, ipm, outcome
        self.representation, self.heads = tuple(representation), tuple(heads)
        self.weight_decay, self.epochs = weight_decay, epochs
        self.patience, self.batch_size = patience, batch_size

    def fit(self, x: Any, t: Any, y: Any, *, seed: int = 0) -> TARNetResult:
        """Train the network; units without treatment or outcome are dropped.

        Args:
            x: Covariates, a DataFrame or an array of shape ``(n, d)``.
            t: Treatment, 0 or 1, shape ``(n,)``.
            y: Outcome, shape ``(n,)``.
            seed: Of weights and batches; no global generator moves.

        Raises:
            ValueError: A treatment that isn't 0 and 1, both there; missing covariates; a constant
                outcome; lengths that differ.
        """
        columns = read_columns(x, t, y)
        check_binary(columns, self.outcome)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            program = self._program(columns)
            self._train(program, columns)
        return TARNetResult(columns, program.requires_grad_(False), self.alpha, self.ipm)

    def _program(self, columns: Columns) -> TARNetProgram:
        x = columns.x.to(torch.get_default_dtype())
        basis = Basis(x, list(range(x.shape[1])))
        body = nn.Sequential(
            network(x.shape[1], self.representation[-1], self.representation[:-1]), nn.ELU()
        )
        outputs = [network(self.representation[-1], 1, self.heads) for _ in range(2)]
        normal = self.outcome == "normal"
        loc, scale = (float(columns.y.mean()), float(columns.y.std())) if normal else (0.0, 1.0)
        return TARNetProgram(x, basis, body, outputs, self.outcome, loc, scale, columns.t)

    def _train(self, program: TARNetProgram, columns: Columns) -> None:
        z = program.basis.standardised(program.rows)
        t, y = columns.t.to(z), ((columns.y.to(z) - program.loc) / program.scale)
        p = float(t.mean())
        weights = t / (2 * p) + (1 - t) / (2 * (1 - p))
        order = torch.randperm(len(z))
        held, kept = order[: int(0.3 * len(z))], order[int(0.3 * len(z)) :]
        optimizer = torch.optim.Adam(program.parameters(), lr=1e-3)
        best, state, waited = float("inf"), copy.deepcopy(program.state_dict()), 0
        for _ in range(self.epochs):
            for rows in kept[torch.randperm(len(kept))].split(self.batch_size):
                optimizer.zero_grad()
                loss = self._loss(program, z[rows], t[rows], y[rows], weights[rows])
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                score = float(self._loss(program, z[held], t[held], y[held], weights[held]))
            waited += 1
            if score < best:
                best, state, waited = score, copy.deepcopy(program.state_dict()), 0
            if waited >= self.patience:
                break
        program.load_state_dict(state)
        program.set_noise(z, t, y)

    def _loss(self, program: TARNetProgram, z: Tensor, t: Tensor, y: Tensor, w: Tensor) -> Tensor:
        phi = program.represent(z)
        index = program.index(phi, t)
        if self.outcome == "normal":
            fit = (index - y) ** 2
        else:
            fit = nn.functional.binary_cross_entropy_with_logits(index, y, reduction="none")
        loss = (w * fit).mean() + self.weight_decay * program.head_norm()
        treated = t > 0.5
        if self.alpha and 1 < int(treated.sum()) < len(t) - 1:
            loss = loss + self.alpha * METRICS[self.ipm](phi[treated], phi[~treated])
        return loss


class TARNetResult:
    """A trained network: effects, and the model as an SCM.

    Attributes:
        columns: The data.
        program: The Pyro program, ``x -> t``, ``x, t -> y``, nothing hidden.
    """

    def __init__(self, columns: Columns, program: TARNetProgram, alpha: float, ipm: str) -> None:
        self.columns, self.program = columns, program
        self.name = f"CFR ({ipm}, alpha {alpha:g})" if alpha else "TARNet"
        self.scm: SCM = SCM(program, name="tarnet")

    def cate(self, x: Any) -> Tensor:
        """Return the effect at covariates, shape ``(unit,)``.

        Args:
            x: Covariates, with the columns of the fit.
        """
        matrix, _ = read_matrix(x, self.columns.names)
        matrix = matrix.to(self.program.rows)
        ones = matrix.new_ones(len(matrix))
        with torch.no_grad():
            return self.program.mean(matrix, ones) - self.program.mean(matrix, 0 * ones)

    def ate(self) -> Effect:
        """Return the average effect over the units of the fit, without an interval."""
        return Effect(
            value=float(self.cate(self.columns.x).mean()),
            se=None,
            interval=None,
            query="E[Y | do(t=1)] - E[Y | do(t=0)]",
            rung=2,
            assumptions=("the covariates account for all confounding", "overlap"),
            warnings=("a network's error is unknown: refit with other seeds to see its spread",),
        )

    def __repr__(self) -> str:
        return f"{self.name}: {len(self.columns.y)} units\n{self.ate()}"


def check_binary(columns: Columns, outcome: str) -> None:
    """Check what TARNet and CEVAE need: a binary treatment, complete covariates.

    Raises:
        ValueError: They are not there.
    """
    levels = columns.t.unique().tolist()
    if levels != [0.0, 1.0]:
        raise ValueError(
            f"fit() got treatments such as {levels[:3]}; expected 0 and 1, both there. Recode t."
        )
    if bool(columns.x.isnan().any()):
        raise ValueError("fit() got missing covariates; expected none. Impute or drop them first.")
    y = columns.y
    if outcome == "bernoulli" and not bool(((y == 0) | (y == 1)).all()):
        raise ValueError(
            "fit() got outcomes besides 0 and 1; expected none for outcome='bernoulli'."
        )
