"""The loading curve: what the average effect would be for each strength of U."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyrocausal.models.vluci_loadings import Propensity
from pyrocausal.models.vluci_sets import effect_at
from pyrocausal.models.vluci_twin import Twin

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["LoadingCurve", "loading_curve"]

SHARES = (0.05, 0.1, 0.2, 0.3)


@dataclass(frozen=True, eq=False)
class LoadingCurve:
    r"""The average effect at fixed loadings, everything else refitted.

    With linear shared arms ``ATE = naive - g delta(gamma)``.

    Attributes:
        treatment: ``R2_{T~U|X}`` of each gamma, shape ``(k,)``.
        outcome: ``R2_{Y~U|T,X}``, signed by the confounding, shape ``(m,)``.
        gamma: The loadings on treatment, shape ``(k,)``.
        ate: The effects, shape ``(k, m)``.
        naive: The effect without U.
        tipping: For each gamma the ``R2_{Y~U|T,X}`` at which the effect is 0, signed; NaN where
            no share does it.
    """

    treatment: Tensor
    outcome: Tensor
    gamma: Tensor
    ate: Tensor
    naive: float
    tipping: Tensor

    def to_frame(self) -> pd.DataFrame:
        """Return the effects as a table, rows by ``R2_T``, columns by signed ``R2_Y``."""
        import pandas as pd

        return pd.DataFrame(
            self.ate.numpy(),
            index=pd.Index(self.treatment.numpy().round(4), name="R2_T"),
            columns=pd.Index(self.outcome.numpy().round(4), name="R2_Y (signed)"),
        )

    def __repr__(self) -> str:
        tips = ", ".join(
            f"R2_T {float(a):.2f}: {'never' if b.isnan() else f'{float(b):+.2f}'}"
            for a, b in zip(self.treatment, self.tipping, strict=True)
        )
        return (
            f"average effect by strength of U (naive {self.naive:.4g})\n"
            f"{self.to_frame().to_string(float_format='{:.3g}'.format)}\n"
            f"R2_Y at which the effect is 0 (signed), at {tips}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the effect against the share of the outcome, a line for each ``R2_T``."""
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots()[1]
        for share, line in zip(self.treatment, self.ate, strict=True):
            ax.plot(self.outcome.numpy(), line.numpy(), label=f"{float(share):.2f}")
        ax.axhline(self.naive, linestyle=":", color="0.5")
        ax.axhline(0.0, color="0.8", linewidth=0.8)
        ax.set_xlabel("share of the outcome that U explains, signed by the confounding")
        ax.set_ylabel("average effect")
        ax.legend(title="share of the treatment")
        return ax


def loading_curve(
    twin: Twin, propensity: Propensity, shares: tuple[float, ...] = SHARES, points: int = 7
) -> LoadingCurve:
    """Refit at a grid of loadings.

    Args:
        twin: The fit without U.
        propensity: Its probabilities of treatment.
        shares: The ``R2_{T~U|X}`` to show.
        points: How many ``R2_{Y~U|T,X}`` between -0.9 and 0.9.
    """
    outcome = torch.linspace(-0.9, 0.9, points, dtype=torch.float64)
    gammas = [propensity.gamma(share) for share in shares]
    naive = float(twin.ate().value)
    rows = []
    for gamma in gammas:
        theta, row = twin.optimum.theta, []
        for share in outcome:
            sign = 1.0 if share >= 0 else -1.0
            ratio = sign * propensity.outcome_ratio(gamma, abs(float(share)))
            ate, theta, _, _ = effect_at(twin.likelihood, theta, gamma, ratio)
            row.append(ate)
        rows.append(row)
    effects, loadings = (torch.tensor(part, dtype=torch.float64) for part in (rows, gammas))
    tipping = torch.tensor([_root(outcome, row) for row in effects], dtype=torch.float64)
    return LoadingCurve(torch.tensor(shares), outcome, loadings, effects, naive, tipping)


def _root(at: Tensor, values: Tensor) -> float:
    """Return where straight lines through the values cross zero, nearest to no confounding."""
    roots = [
        float(a - p * (b - a) / (q - p))
        for a, b, p, q in zip(at, at[1:], values, values[1:], strict=False)
        if p * q <= 0 and p != q
    ]
    return min(roots, key=abs, default=float("nan"))
