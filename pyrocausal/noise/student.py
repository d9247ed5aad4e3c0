"""StudentT: its CDF through the incomplete beta function."""

from math import log
from typing import Any

import torch
import torch.distributions as torch_dist
from torch import Tensor
from torch.nn.functional import logsigmoid

from pyrocausal.noise.beta import LogitBeta
from pyrocausal.noise.equation import register
from pyrocausal.noise.logistic_scale import LogisticScale

__all__ = ["StudentTEquation"]

_TINY = 1e-150  # keeps logarithms, and the slope, finite at the median


class StudentTEquation(LogisticScale):
    """``x = loc + scale * t_df(u)``, ``u ~ Logistic(0, 1)``.

    ``P(|T| > t) = I_x(df/2, 1/2)`` with ``logit x = log df - 2 log t``.

    Example:
        >>> d = torch_dist.StudentT(torch.tensor(1.0), 0.0, 1.0)  # Cauchy: 1 is the third quartile
        >>> StudentTEquation(d, d.df, d.loc, d.scale).posterior(torch.tensor(1.0)).sigmoid()
        tensor(0.7500, dtype=torch.float64)
    """

    def forward(self, u: Tensor) -> Tensor:
        df, loc, scale = self.parameters
        size = torch.where(u < 0, -u, u) + _TINY
        # I = 2 sigmoid(-size) and 1 - I = tanh(size / 2), as one logit.
        level = log(2.0) + logsigmoid(-size) - torch.tanh(0.5 * size).log()
        w = _LOGIT_BETA.quantile(level, 0.5 * df, df.new_tensor(0.5))
        t = torch.exp(0.5 * (df.log() - w))
        return (loc + scale * torch.where(u < 0, -t, t)).to(self.dtype)

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        df, loc, scale = self.parameters
        t = (x.double() - loc) / scale
        w = df.log() - 2 * torch.log(torch.where(t < 0, -t, t) + _TINY)
        level = _LOGIT_BETA.logit(w, 0.5 * df, df.new_tensor(0.5))
        # S/F of the half-line |T| < |t|: (2 - I) / I, without cancellation in either tail.
        size = torch.log1p(torch.sigmoid(-level)) - logsigmoid(level)
        return torch.where(t < 0, -size, size)


@register(torch_dist.StudentT)
def _student(d: Any) -> StudentTEquation:
    return StudentTEquation(d, d.df, d.loc, d.scale)


_LOGIT_BETA = LogitBeta(terms=32)  # b = 1/2 converges fast
