"""Every mechanism: shapes, dtypes, rows, and the noise behind what was drawn."""

from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from small_mechanisms import BATCHES, PARENTS, build, each_mechanism

from pyrocausal.mechanisms import MLP, Flow, Linear, Parent
from pyrocausal.noise import structural_equation


@pytest.mark.parametrize("parents", PARENTS)
@each_mechanism
def test_batch_shape_is_that_of_the_parents(mechanism: str, parents: str) -> None:
    declared, draw = PARENTS[parents]
    module = build(mechanism, declared)
    for batch in BATCHES if declared else [()]:
        d = module(*draw(batch))
        x = d.sample()
        assert d.batch_shape == batch
        assert x.shape == batch + d.event_shape
        assert d.log_prob(x).shape == batch
        assert d.log_prob(x).dtype == torch.float32
        assert bool(d.log_prob(x).isfinite().all())


@each_mechanism
def test_batches_of_the_parents_broadcast(mechanism: str) -> None:
    module = build(mechanism, [2, Parent.continuous(shape=2)])
    inner, unit, shared, vector = (torch.randn(s) for s in ((3, 7), (7,), (), (7, 2)))
    d = module(inner, unit, vector)
    x = d.sample()
    torch.testing.assert_close(
        d.log_prob(x),
        module(inner, unit.expand(3, 7), vector.expand(3, 7, 2)).log_prob(x),
    )
    assert module(shared, shared, vector).batch_shape == (7,)


@each_mechanism
def test_a_row_run_alone_is_the_row_of_the_batch(mechanism: str) -> None:
    module = build(mechanism, 2)
    a, b = torch.randn(2, 5)
    x = module(a, b).sample()
    alone = torch.stack([module(a[i], b[i]).log_prob(x[i]) for i in range(5)])
    torch.testing.assert_close(module(a, b).log_prob(x), alone)


@each_mechanism
def test_a_root_expands_in_a_plate(mechanism: str) -> None:
    module = build(mechanism, 0)

    def program() -> None:
        with pyro.plate("units", 7):
            pyro.sample("x", module())

    trace: Any = poutine.trace(program).get_trace()
    trace.compute_log_prob()
    assert trace.nodes["x"]["log_prob"].shape == (7,)


def test_a_program_nests_an_inner_plate_left_of_its_units() -> None:
    severity = Linear(0)
    visits = MLP([Parent.continuous()], (4,), head="poisson")
    cost = Flow([Parent.continuous(), Parent.count()], hidden=(4,))

    def program() -> None:
        with pyro.plate("units", 7, dim=-1):
            s = pyro.sample("severity", severity())
            with pyro.plate("clinics", 3, dim=-2):
                v = pyro.sample("visits", visits(s))
                pyro.sample("cost", cost(s, v))

    trace: Any = poutine.trace(program).get_trace()
    trace.compute_log_prob()
    assert trace.nodes["cost"]["log_prob"].shape == (3, 7)


@each_mechanism
def test_double_gives_the_same_density_in_float64(mechanism: str) -> None:
    module = build(mechanism, 2)
    a, b = torch.randn(2, 50)
    x = module(a, b).sample()
    single = module(a, b).log_prob(x)
    double = module.double()(a, b).log_prob(x if not x.is_floating_point() else x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


@each_mechanism
def test_state_dict_carries_parameters_and_constants(mechanism: str) -> None:
    old, new = (
        build(mechanism, [Parent.continuous(loc=loc, scale=scale)])
        for loc, scale in ((3.0, 2.0), (0.0, 1.0))
    )
    pa = torch.randn(20)
    new.load_state_dict(old.state_dict())
    x = old(pa).sample()
    assert torch.equal(old(pa).log_prob(x), new(pa).log_prob(x))
    assert torch.equal(new.state_dict()["encoder.loc"], torch.tensor([3.0]))


@each_mechanism
def test_the_structural_equation_reproduces_what_was_drawn(mechanism: str) -> None:
    d = build(mechanism, 2)(torch.randn(3, 50), torch.randn(50))
    equation, x = structural_equation(d), d.sample()
    v = torch.rand(3, 50, *(equation.posterior_shape or ()), dtype=torch.float64)
    torch.testing.assert_close(equation.forward(equation.posterior(x, v)), x, rtol=1e-4, atol=1e-5)
