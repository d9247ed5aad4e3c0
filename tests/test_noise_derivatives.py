"""Log-determinants of continuous equations, and gradients beside finite differences."""

from collections.abc import Callable

import pytest
import torch
from continuous_families import DTYPES, F64, FAMILIES, INVERTIBLE, draw, equation_of, posterior
from torch import Tensor

from pyrocausal.noise import structural_equation


def log_determinant(x: Tensor, u: Tensor) -> Tensor:
    """Return ``log|det dx/du|`` of each row."""
    if x.dim() == 1:
        slope: Tensor = torch.autograd.grad(x.sum(), u)[0]
        return slope.abs().log()
    rows = [torch.autograd.grad(x[:, k].sum(), u, retain_graph=True)[0] for k in range(x.shape[1])]
    result: Tensor = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return result


@INVERTIBLE
@DTYPES
def test_the_log_determinant_is_that_of_the_densities(name: str, dtype: torch.dtype) -> None:
    equation = equation_of(name, dtype)
    u = draw(equation, 20).requires_grad_()
    x = equation.forward(u)
    found = log_determinant(x, u)
    expected = equation.noise.log_prob(u) - equation.distribution.log_prob(x)
    size = 1e-6 if dtype == F64 else 1e-4
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=size, atol=size)


def finite_difference(value: Callable[..., Tensor], inputs: list[Tensor], index: int) -> Tensor:
    """Return the gradient in one input by central differences of fourth order."""
    start = [t.detach() for t in inputs]
    flat = start[index].flatten()
    result = torch.empty_like(flat)
    for k in range(len(flat)):
        h = 1e-3 * max(1e-3, float(flat[k].abs()))

        def moved(steps: int, k: int = k, h: float = h) -> float:
            point = flat.clone()
            point[k] += steps * h
            changed = point.reshape(start[index].shape)
            return float(value(*start[:index], changed, *start[index + 1 :]).detach())

        near, far = moved(1) - moved(-1), moved(2) - moved(-2)
        result[k] = (8 * near - far) / (12 * h)
    return result.reshape(start[index].shape)


@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in ("Spline", "Conditional")])
@pytest.mark.parametrize("direction", ["forward", "posterior"])
def test_gradients_are_those_of_finite_differences(name: str, direction: str) -> None:
    family = FAMILIES[name]
    parameters = [torch.tensor(p, dtype=F64, requires_grad=True) for p in family.parameters]
    equation = structural_equation(family.build(*parameters))
    size = equation.noise_shape.numel()
    v = torch.linspace(0.15, 0.85, 6 * size, dtype=F64).reshape(6, *equation.noise_shape)
    u = equation.from_uniform(v)
    start = u if direction == "forward" else equation.forward(u)
    inputs = [start.detach().requires_grad_(), *parameters]
    weights = torch.linspace(1, 2, 6, dtype=F64)

    def value(start: Tensor, *parameters: Tensor) -> Tensor:
        torch.manual_seed(0)  # the posterior's uniforms, the same each time
        equation = structural_equation(family.build(*parameters))
        result = equation.forward(start) if direction == "forward" else posterior(equation, start)
        return (weights @ result.reshape(6, -1)).sum()

    for k, found in enumerate(torch.autograd.grad(value(*inputs), inputs)):
        expected = finite_difference(value, inputs, k)
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * scale)
