"""Every mechanism under gradients, function transforms and capture."""

import pyro
import pytest
import torch
from small_mechanisms import MECHANISMS, PARENTS, build, each_mechanism
from torch import Tensor
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx


@pytest.mark.parametrize("parents", ["none", "mixed"])
@each_mechanism
def test_every_parameter_gets_a_gradient(mechanism: str, parents: str) -> None:
    declared, draw = PARENTS[parents]
    module = build(mechanism, declared)
    d = module(*draw((200,)))
    d.log_prob(d.sample((200,) if not declared else ())).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("mechanism", ["linear normal", "mlp heteroscedastic", "flow"])
def test_draws_are_differentiable_in_the_parents(mechanism: str) -> None:
    module, pa = build(mechanism, 1), torch.randn(20, requires_grad=True)
    module(pa).rsample().sum().backward()
    assert pa.grad is not None
    assert bool((pa.grad != 0).all())


@each_mechanism
def test_a_capture_on_fake_tensors_reproduces_density_and_gradient(mechanism: str) -> None:
    module, pa = build(mechanism, 2), torch.randn(2, 20)
    x = module(*pa).sample()
    state = {k: v.detach() for k, v in module.state_dict().items()}
    learned = [k for k, _ in module.named_parameters()]

    def step(state: dict[str, Tensor], pa: Tensor, x: Tensor) -> list[Tensor]:
        state = {k: v.clone().requires_grad_(k in learned) for k, v in state.items()}
        loss = functional_call(module, state, tuple(pa)).log_prob(x).sum()
        return [loss, *torch.autograd.grad(loss, [state[k] for k in learned])]

    with pyro.validation_enabled(False):
        captured = make_fx(step, tracing_mode="fake")(state, pa, x)
        eager = step(state, pa, x)
    torch.testing.assert_close(captured(state, pa, x), eager)


# Pyro's OrderedLogistic writes in place, which vmap refuses.
@pytest.mark.parametrize("mechanism", [m for m in MECHANISMS if "ordinal" not in m])
def test_vmap_over_parameters_is_a_loop_over_modules(mechanism: str) -> None:
    modules = [build(mechanism, 1) for _ in range(3)]
    pa = torch.randn(6)
    x = modules[0](pa).sample()
    stacked = {
        name: torch.stack([dict(m.named_parameters())[name] for m in modules])
        for name, _ in modules[0].named_parameters()
    }

    def log_prob(parameters: dict[str, Tensor]) -> Tensor:
        value: Tensor = functional_call(modules[0], parameters, (pa,)).log_prob(x)
        return value

    with pyro.validation_enabled(False):
        together = vmap(log_prob)(stacked)
    torch.testing.assert_close(together, torch.stack([m(pa).log_prob(x) for m in modules]))
