"""A fitted SCM with latent variables says which of its answers the data don't determine."""

import gc
import warnings
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.errors import IdentificationWarning
from pyrocausal.identification.unidentified import unidentified, warn_unidentified


def program() -> None:
    # X -> M -> Y, X -> W, U -> X, Y, W
    slope = pyro.param("slope", torch.tensor(1.0))
    u = pyro.sample("U", dist.Normal(0.0, 1.0))
    x = pyro.sample("X", dist.Normal(u, 1.0))
    m = pyro.sample("M", dist.Normal(slope * x, 1.0))
    pyro.sample("Y", dist.Normal(m + u, 1.0))
    pyro.sample("W", dist.Normal(x + u, 1.0))


def guide(batch: Any) -> None:
    pyro.sample("U", dist.Normal(batch["X"] / 2, 0.7))


def fitted() -> pc.SCM:
    model = pc.SCM(program, latent=["U"])
    data = model.sample(60, seed=0)
    model.fit({name: data[name] for name in "XMYW"}, guide, steps=2, seed=0, compile=False)
    return model


def told(model: pc.SCM, verb: str = "sample", **asked: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_unidentified(model._core, model._standing.worlds, verb, **asked)
    assert all(warning.category is IdentificationWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_what_the_data_do_not_determine_is_named_once_a_verb() -> None:
    model = fitted()
    assert model.report is not None
    assert model.report.observed == frozenset("XMYW")
    (message,) = told(model.do(X=1.0))
    # Y by the front door; W is confounded.
    assert "don't determine P(W | do(X)): U was never observed" in message
    assert told(model.do(X=2.0)) == []
    assert len(told(model.do(X=2.0), "counterfactual")) == 1
    model.fit(model.sample(60, seed=1).data, guide, steps=2, seed=0, compile=False)
    assert len(told(model.do(X=1.0))) == 1


def test_what_they_determine_is_not() -> None:
    model = fitted()
    assert told(model) == []
    assert told(model.do(M=1.0)) == []
    assert told(model.do(X=1.0), variables=["Y"]) == []
    assert len(told(model.do(X=1.0), variables=["W"])) == 1
    assert told(model.do(X=1.0)) == []  # once is enough


def test_an_action_on_what_is_latent_is_known_to_no_data() -> None:
    (message,) = told(fitted().do(U=1.0))
    assert "P(X, M, Y, W | do(U))" in message


def test_evidence_after_the_action_may_leave_it_undetermined() -> None:
    (message,) = told(fitted().do(X=1.0), given=["W"])
    assert "| do(X), W)" in message


def test_without_a_fit_or_without_latents_nothing_is_said() -> None:
    assert told(pc.SCM(program, latent=["U"]).do(X=1.0)) == []
    open_eyed = pc.SCM(program)
    open_eyed.fit(open_eyed.sample(60, seed=0).data, steps=2, seed=0, compile=False)
    assert told(open_eyed.do(X=1.0)) == []


def test_a_parameter_that_all_units_share_is_no_confounder() -> None:
    def shared() -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        with pc.units():
            x = pyro.sample("x", dist.Normal(loc, 1.0))
            pyro.sample("y", dist.Normal(x + loc, 1.0))

    def point() -> None:
        pyro.sample("loc", dist.Normal(pyro.param("at", torch.tensor(0.0)), 0.1))

    model = pc.SCM(shared)
    data = {"x": torch.randn(40), "y": torch.randn(40)}
    model.fit(data, lambda batch: point(), steps=2, seed=0, compile=False)
    assert told(model.do(x=1.0)) == []


@pytest.mark.parametrize(
    ("outcome", "do", "given", "expected"),
    [
        ("Y", "X", "", "Y"),
        ("M", "X", "", ""),
        ("YM", "X", "", "Y"),
        ("XY", "M", "", "Y"),  # X isn't reached
        ("Y", "M", "X", "Y"),
    ],
)
def test_each_variable_is_judged_alone(outcome: str, do: str, given: str, expected: str) -> None:
    # X -> M -> Y, M <-> Y, X <-> Y: the mediator is confounded
    graph = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y"), ("M", "Y")])
    assert unidentified(graph, outcome, [*do], [*given]) == tuple(expected)


def test_a_fit_that_is_gone_is_forgotten() -> None:
    from pyrocausal.identification.unidentified import _TOLD

    before = len(_TOLD)
    told(fitted().do(X=1.0))
    gc.collect()
    assert len(_TOLD) <= before
