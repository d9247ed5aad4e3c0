"""Random numbers of a step that depend on the seed, the step and a unit's number alone.

Processes that share a batch then draw for it what one process would draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod, sqrt
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pyrocausal.noise import Stream
from pyrocausal.noise.counters import GOLDEN, mix, shift_right

__all__ = ["KeyedNoise"]

Draw = Callable[..., Tensor]


class KeyedNoise:
    """Replaces torch's random numbers, as long as it is open, by a hash of their address.

    An address is the step, how many draws came before in it, a row's number, and the place in the
    row. What has no dimension of rows is the same for all who share the step. Gamma, Beta,
    Dirichlet, Poisson and Binomial draws, whose sampling rejects, stay torch's own.

    Args:
        seed: The seed of the fit.
        device: Where the numbers live.

    Example:
        >>> noise = KeyedNoise(0, torch.device("cpu"))
        >>> with noise.of(torch.tensor([0, 1, 2, 3])):
        ...     every = torch.randn(4)
        >>> with noise.of(torch.tensor([2, 3])):
        ...     some = torch.randn(2)
        >>> torch.equal(every[2:], some)
        True
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self.key = torch.zeros((), dtype=torch.int64, device=device)
        self.at(0)

    def at(self, step: int) -> None:
        """Go to a step; a captured graph that has read ``key`` reads the new one."""
        self.key.fill_(Stream(self.seed, "noise of a step", 0).key(step))

    def of(self, rows: Tensor) -> TorchFunctionMode:
        """Return the context in which rows with these numbers draw."""
        return _Keyed(self.key, rows)


class _Keyed(TorchFunctionMode):
    def __init__(self, key: Tensor, rows: Tensor) -> None:
        super().__init__()
        self.key, self.rows, self.draws = key, rows, 0

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        draw = _DRAWS.get(getattr(func, "__name__", ""))
        if draw is None:
            return func(*args, **(kwargs or {}))
        return draw(self, *args, **(kwargs or {}))

    def uniforms(self, shape: Sequence[int], like: Any) -> Tensor:
        """Return uniforms in (0, 1), of a dtype."""
        dtype = like or torch.get_default_dtype()
        words = self._words(tuple(shape))
        if dtype == torch.float64:
            return (shift_right(words, 12).to(dtype) + 0.5) * 2.0**-52
        # So many bits that the half is kept, and no number rounds to one.
        return ((shift_right(words, 41).to(torch.float32) + 0.5) * 2.0**-23).to(dtype)

    def normals(self, shape: Sequence[int], like: Any) -> Tensor:
        """Return standard normals, of a dtype."""
        uniforms = self.uniforms(shape, like)
        if uniforms.dtype == torch.float64:
            quantiles: Tensor = torch.special.ndtri(uniforms)
            return quantiles
        return sqrt(2.0) * torch.erfinv(2 * uniforms - 1)

    def _words(self, shape: tuple[int, ...]) -> Tensor:
        self.draws += 1
        number, size, device = len(self.rows), prod(shape), self.key.device
        start = mix(self.key + _signed(self.draws * 0xD1B54A32D192ED03))
        if number not in shape:
            places = torch.arange(size, device=device).view(shape)
        else:
            dim = shape.index(number)
            rest = (*shape[:dim], 1, *shape[dim + 1 :])
            inside = torch.arange(prod(rest), device=device).view(rest)
            rows = self.rows.view(-1, *(1,) * (len(shape) - dim - 1))
            places = rows * prod(rest) + inside
        return mix(places * GOLDEN + start)


def _sized(kind: str) -> Draw:
    def draw(
        own: _Keyed, *size: Any, dtype: Any = None, requires_grad: bool = False, **_: Any
    ) -> Tensor:
        given = size or (_["size"],)
        shape = given[0] if len(given) == 1 and not isinstance(given[0], int) else given
        return getattr(own, kind)(shape, dtype)  # type: ignore[no-any-return]

    return draw


def _alike(kind: str) -> Draw:
    def draw(own: _Keyed, tensor: Tensor, *, dtype: Any = None, **_: Any) -> Tensor:
        return getattr(own, kind)(tensor.shape, dtype or tensor.dtype)  # type: ignore[no-any-return]

    return draw


def _normal(own: _Keyed, mean: Any, std: Any = 1.0, size: Any = None, **_: Any) -> Tensor:
    parts = [part.detach() for part in (mean, std) if isinstance(part, Tensor)]
    shape = size if size is not None else torch.broadcast_shapes(*(p.shape for p in parts))
    mean, std = (p.detach() if isinstance(p, Tensor) else p for p in (mean, std))
    found: Tensor = mean + std * own.normals(shape, parts[0].dtype if parts else None)
    return found


def _bernoulli(own: _Keyed, p: Tensor, *_: Any, **__: Any) -> Tensor:
    p = p.detach()
    return (own.uniforms(p.shape, p.dtype) < p).to(p.dtype)


def _multinomial(
    own: _Keyed, p: Tensor, num_samples: int, replacement: bool = False, **_: Any
) -> Tensor:
    if not replacement and num_samples > 1:
        return torch.multinomial(p, num_samples, replacement)
    ends = p.detach().cumsum(-1)
    u = own.uniforms((*p.shape[:-1], num_samples), p.dtype) * ends[..., -1:]
    return (u.unsqueeze(-1) >= ends[..., :-1].unsqueeze(-2)).sum(-1)


def _dropout(
    own: _Keyed, value: Tensor, p: float = 0.5, training: bool = True, *_: Any, **__: Any
) -> Tensor:
    if not training or p == 0:
        return value
    kept = own.uniforms(value.shape, value.dtype) >= p
    return value * kept / (1 - p) if p < 1 else torch.zeros_like(value)


def _filling(make: Callable[..., Tensor]) -> Draw:
    def draw(own: _Keyed, tensor: Tensor, *args: Any, generator: Any = None, **kw: Any) -> Tensor:
        with torch.no_grad():
            tensor.copy_(make(own, tensor, *args, **kw))
        return tensor

    return draw


def _uniform_fill(own: _Keyed, tensor: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * own.uniforms(tensor.shape, tensor.dtype)


def _normal_fill(own: _Keyed, tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return mean + std * own.normals(tensor.shape, tensor.dtype)


def _exponential_fill(own: _Keyed, tensor: Tensor, lambd: float = 1.0) -> Tensor:
    return -own.uniforms(tensor.shape, tensor.dtype).log() / lambd


def _cauchy_fill(own: _Keyed, tensor: Tensor, median: float = 0.0, sigma: float = 1.0) -> Tensor:
    return median + sigma * torch.tan(torch.pi * (own.uniforms(tensor.shape, tensor.dtype) - 0.5))


def _bernoulli_fill(own: _Keyed, tensor: Tensor, p: Any = 0.5) -> Tensor:
    found: Tensor = own.uniforms(tensor.shape, torch.float32) < p
    return found.to(tensor.dtype)


_DRAWS: Final[Mapping[str, Draw]] = {
    "rand": _sized("uniforms"),
    "randn": _sized("normals"),
    "rand_like": _alike("uniforms"),
    "randn_like": _alike("normals"),
    "normal": _normal,
    "bernoulli": _bernoulli,
    "multinomial": _multinomial,
    "dropout": _dropout,
    "uniform_": _filling(_uniform_fill),
    "normal_": _filling(_normal_fill),
    "exponential_": _filling(_exponential_fill),
    "cauchy_": _filling(_cauchy_fill),
    "bernoulli_": _filling(_bernoulli_fill),
}


def _signed(word: int) -> int:
    return (word + 2**63) % 2**64 - 2**63
