"""A conditional neural spline flow: a free monotone map from normal noise to the variable."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, final

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import constraints

from pyrocausal.mechanisms.base import (
    Distribution,
    Mechanism,
    Numbers,
    check_count,
    check_counts,
    register_units,
)
from pyrocausal.mechanisms.encoder import ParentEncoder, Parents

__all__ = ["Flow", "FlowTransform", "import_zuko"]


@final
class Flow(Mechanism):
    """``x = loc + scale * T_pa(u)``, ``u ~ Normal(0, 1)``, with ``T_pa`` learned and monotone.

    ``T_pa`` is a rational-quadratic spline on [-5, 5], the identity beyond, and then an affine
    map, their parameters networks of the parents; so a normal of any mean and deviation is the
    plainest case. For a vector each coordinate depends on those before it (a triangular map):
    its inverse and density take one pass, a draw one pass for each coordinate. Any density can
    be had this way, but the coupling of counterfactuals is a choice: monotone noise in one
    dimension, the order of coordinates in several.

    Args:
        parents: What each parent is; an integer stands for as many continuous scalars.
        size: ``None`` for a scalar variable, ``p`` for a vector of length ``p``.
        bins: Bins of a spline.
        splines: How many splines are stacked; a vector's coordinates take turns in direction.
        hidden: Widths of the hidden layers of the networks.
        activation: Makes the layer between them.
        loc: Typical value of the variable, a number or one for each coordinate.
        scale: Typical deviation of the variable, a number or one for each coordinate.

    Raises:
        ImportError: The library ``zuko`` is not installed.
        TypeError: Parents that are no parents, sizes that are no whole numbers.
        ValueError: Sizes below 1, scales that are not positive.

    Example:
        >>> dose = Flow(parents=1, loc=50.0, scale=10.0)
        >>> dose(torch.zeros(100)).sample().shape
        torch.Size([100])

    References:
        Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows.
    """

    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        parents: Parents = 0,
        size: int | None = None,
        *,
        bins: int = 8,
        splines: int = 1,
        hidden: Sequence[int] = (32, 32),
        activation: Callable[[], nn.Module] = nn.SiLU,
        loc: Numbers = 0.0,
        scale: Numbers = 1.0,
    ) -> None:
        super().__init__()
        for name, number in (("bins", bins), ("splines", splines)):
            check_count(number, name)
        check_count(1 if size is None else size, "size")
        check_counts(hidden, "hidden")
        zuko = import_zuko()
        self.encoder = ParentEncoder(parents)
        self.parents, self.size = self.encoder.parents, size
        self.bins, self.splines, self.hidden, self.activation = bins, splines, hidden, activation
        common = {
            "features": size or 1,
            "context": self.encoder.width,
            "hidden_features": tuple(hidden),
            "activation": activation,
        }
        affine = zuko.flows.MAF(transforms=1, **common).transform
        # Slopes stay within [0.01, 100]: in float32 the round trip of steeper ones loses digits.
        spline = zuko.flows.NSF(transforms=splines, bins=bins, slope=1e-2, **common).transform
        # From the variable to the noise, the direction in which a density needs one pass.
        self.to_noise = zuko.lazy.LazyComposedTransform(affine, spline)
        register_units(self, loc, scale)

    def forward(self, *parents: Tensor) -> Distribution:
        """Return the distribution at the parents, each ``(*batch,)`` or ``(*batch, *event)``."""
        features = self.encoder(*parents)
        event = () if self.size is None else (self.size,)
        noise = dist.Normal(features.new_zeros(()), features.new_ones(()))
        noise = noise.expand(features.shape[:-1] + event).to_event(len(event))
        # The transform of a vector runs its networks when it is used, which may be after the
        # call that swapped parameters in (functional_call, vmap) has put the old ones back.
        lazy = self.to_noise if self.size is None else _bound(self.to_noise)
        to_noise = lazy(features if self.encoder.width else None)
        transform = FlowTransform(to_noise, self.loc, self.scale, event_dim=len(event))
        return dist.TransformedDistribution(noise, [transform])


@final
class FlowTransform(torch.distributions.Transform):
    """``x = loc + scale * g^{-1}(u)``, for a transform ``g`` of vectors from value to noise.

    Args:
        to_noise: The transform ``g``, whose events are vectors.
        loc: Location of the standardized units.
        scale: Scale of the standardized units.
        event_dim: 1 for vectors; 0 for scalars, which ``g`` sees as vectors of length 1.
    """

    bijective = True
    sign = 1

    def __init__(self, to_noise: Any, loc: Tensor, scale: Tensor, event_dim: int) -> None:
        super().__init__()
        self.to_noise, self.loc, self.scale = to_noise, loc, scale
        self.domain = self.codomain = constraints.real_vector if event_dim else constraints.real

    def _call(self, u: Tensor) -> Tensor:
        z = self._as_event(self.to_noise.inv(self._as_vector(u)))
        return self.loc + self.scale * z

    def _inverse(self, x: Tensor) -> Tensor:
        return self._as_event(self.to_noise(self._standardized(x)))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``log |dy/dx|`` of the map from noise ``x`` to value ``y``, a number for each."""
        log_det: Tensor = self.to_noise.call_and_ladj(self._standardized(y))[1]
        return self.scale.log().expand(self._as_vector(y).shape[-1:]).sum() - log_det

    def _standardized(self, x: Tensor) -> Tensor:
        return self._as_vector((x - self.loc) / self.scale)

    def _as_vector(self, x: Tensor) -> Tensor:
        return x if self.domain.event_dim else x.unsqueeze(-1)

    def _as_event(self, x: Tensor) -> Tensor:
        return x if self.domain.event_dim else x.squeeze(-1)


def _bound(module: nn.Module) -> nn.Module:
    """Return a twin of ``module`` that keeps the tensors which the module has now."""
    twin = copy(module)
    twin._parameters, twin._buffers = dict(module._parameters), dict(module._buffers)
    twin._modules = {name: child and _bound(child) for name, child in module._modules.items()}
    return twin


def import_zuko() -> Any:
    """Import zuko, and leave the validation of distributions as it was.

    Raises:
        ImportError: It is not installed.
    """
    validate = torch.distributions.Distribution._validate_args
    try:
        import zuko
    except ImportError as error:
        raise ImportError(
            "Flows need the library zuko. Install it with: pip install 'pyrocausal[flows]'"
        ) from error
    finally:
        # Importing zuko switches off the validation of every distribution in the process.
        torch.distributions.Distribution.set_default_validate_args(validate)
    return zuko
