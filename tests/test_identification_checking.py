"""The loop closed: estimands on samples against the model's own action."""

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.identification import checking


def front_door() -> None:
    # U -> X -> M -> Y, U -> Y
    u = pyro.sample("U", dist.Bernoulli(0.5))
    x = pyro.sample("X", dist.Bernoulli(0.2 + 0.6 * u))
    m = pyro.sample("M", dist.Bernoulli(0.1 + 0.8 * x))
    pyro.sample("Y", dist.Bernoulli(0.1 + 0.4 * m + 0.4 * u))


FRONT_DOOR = pc.SCM(front_door, latent=["U"])


@pytest.mark.parametrize("query", ["P(Y | do(X))", "P(Y | do(X), M)", "P(M, Y | do(X))"])
def test_the_formula_agrees_with_the_action(query: str) -> None:
    check = pc.check_identification(FRONT_DOOR, query, n=5_000)
    assert check.agrees, str(check)
    assert "agree (rung 2)" in str(check)
    assert list(check.to_frame()["X"].unique()) == [0.0, 1.0]


def test_the_formula_of_another_graph_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = pc.CausalGraph([("X", "M"), ("M", "Y"), ("X", "Y")])
    monkeypatch.setattr(
        checking, "identify", lambda _, *args, **kw: pc.identify(wrong, *args, **kw)
    )
    check = pc.check_identification(FRONT_DOOR, "Y", do="X", n=5_000)
    assert check.estimand.formula == "P(y | x)"
    assert not check.agrees
    assert "DISAGREE" in str(check)


def test_a_continuous_outcome_is_cut_into_quarters() -> None:
    check = pc.check_identification(zoo.MODELS["m_bias"].scm(), "P(Y | do(X))", n=5_000)
    assert check.agrees, str(check)
    assert len(check.comparisons) == 8


@pytest.mark.slow
def test_a_false_alarm_is_rare() -> None:
    # 12 right checks, each failing with probability .001
    checks = [
        pc.check_identification(FRONT_DOOR, "P(Y | do(X))", n=1_000, seed=100 * i)
        for i in range(12)
    ]
    assert all(check.agrees for check in checks)
    z = torch.tensor([[c.z for c in check.comparisons] for check in checks])
    # Standard normal, if the errors are right: the mean square of 24 has a standard error of .29.
    assert 0.15 < float(z[:, ::2].square().mean()) < 1 + 4 * 0.29


def test_what_cannot_be_checked_is_a_clear_error() -> None:
    with pytest.raises(pc.NotIdentified):
        pc.check_identification(zoo.MODELS["bow"].scm(), "P(Y | do(X))")
    with pytest.raises(ValueError, match="is counterfactual"):
        pc.check_identification(FRONT_DOOR, "P(Y_{X=1} | X=0)")

    def confounded() -> None:
        z = pyro.sample("Z", dist.Normal(0.0, 1.0))
        x = pyro.sample("X", dist.Bernoulli(logits=z))
        pyro.sample("Y", dist.Normal(z + x, 1.0))

    with pytest.raises(ValueError, match="'Z' is continuous"):
        pc.check_identification(pc.SCM(confounded), "P(Y | do(X))")
