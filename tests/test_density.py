"""log_prob under interventions: what was set is known, and data that deny it are impossible."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

import pyrocausal as pc


# x -> y -> z, y = 2 x
def doubled() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    y = pyro.deterministic("y", 2 * x)
    pyro.sample("z", dist.Normal(y, 0.5))


# a -> k; a -> v, a vector
def mixed() -> None:
    a = pyro.sample("a", dist.Bernoulli(0.3))
    pyro.sample("k", dist.Categorical(logits=torch.stack([a, -a, 0 * a], -1)))
    pyro.sample("v", dist.Normal(a[:, None].expand(-1, 2), 1.0).to_event(1))


X, Z = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 0.0, 3.0])


def normal(value: Any, loc: Any, scale: float) -> Tensor:
    return torch.as_tensor(stats.norm(loc, scale).logpdf(value), dtype=torch.float32)


def test_a_variable_that_was_set_may_be_left_out() -> None:
    found = pc.SCM(doubled).do(x=1.5).log_prob({"z": Z})
    torch.testing.assert_close(found, normal(Z, 3.0, 0.5))


def test_each_unit_has_the_value_that_it_was_set_to() -> None:
    found = pc.SCM(doubled).do(x=X).log_prob({"z": Z})
    torch.testing.assert_close(found, normal(Z, 2 * X, 0.5))


def test_data_that_agree_with_the_action_change_nothing() -> None:
    scm = pc.SCM(doubled).do(x=X)
    assert torch.equal(scm.log_prob({"x": X, "z": Z}), scm.log_prob({"z": Z}))
    some = torch.tensor([0.5, torch.nan, torch.nan])
    assert torch.equal(scm.log_prob({"x": some, "z": Z}), scm.log_prob({"z": Z}))


def test_data_that_deny_the_action_are_an_error() -> None:
    words = r"data\['x'\] is impossible for units 0, 2: an intervention sets it another value"
    with pytest.raises(ValueError, match=words):
        pc.SCM(doubled).do(x=-1.0).log_prob({"x": X, "z": Z})


def test_a_deterministic_variable_that_was_seen_is_what_its_causes_make_it() -> None:
    scm = pc.SCM(doubled)
    expected = normal(X, 0.0, 1.0) + normal(Z, 2 * X, 0.5)
    torch.testing.assert_close(scm.log_prob({"x": X, "z": Z}), expected)
    torch.testing.assert_close(scm.log_prob({"x": X, "y": 2 * X, "z": Z}), expected)
    words = r"data\['y'\] is impossible for unit 1: its causes give it another value"
    with pytest.raises(ValueError, match=words):
        scm.log_prob({"x": X, "y": torch.tensor([1.0, 5.0, 4.0]), "z": Z})


def test_a_deterministic_variable_can_be_set() -> None:
    found = pc.SCM(doubled).do(y=1.0).log_prob({"x": X, "z": Z})
    torch.testing.assert_close(found, normal(X, 0.0, 1.0) + normal(Z, 1.0, 0.5))


def test_a_deterministic_variable_can_be_given_a_distribution() -> None:
    scm = pc.SCM(doubled).do(y=dist.Normal(0.0, 2.0))
    found = scm.log_prob({"x": X, "y": Z, "z": Z})
    expected = normal(X, 0.0, 1.0) + normal(Z, 0.0, 2.0) + normal(Z, Z, 0.5)
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="data lack y"):
        scm.log_prob({"x": X, "z": Z})


def test_codes_and_vectors_are_compared_whole() -> None:
    scm = pc.SCM(mixed)
    vector = [[0.0, 1.0], [1.0, 1.0]]
    data = {"a": [0.0, 1.0], "k": [1, 2], "v": vector}
    scm.do(k=[1, 2], v=vector).log_prob(data)
    with pytest.raises(ValueError, match=r"data\['k'\] is impossible for unit 1"):
        scm.do(k=1).log_prob(data)
    with pytest.raises(ValueError, match=r"data\['v'\] is impossible for unit 0"):
        scm.do(v=[1.0, 1.0]).log_prob(data)


def test_a_value_that_a_variable_can_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"do\('k'\) got 7, which Categorical can't take"):
        pc.SCM(mixed).do(k=7).log_prob({"a": [0.0], "v": [[0.0, 0.0]]})


def test_a_variable_that_all_units_share_can_be_set() -> None:
    def program() -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        with pc.units():
            pyro.sample("x", dist.Normal(loc, 1.0))

    scm = pc.SCM(program).do(loc=2.0)
    torch.testing.assert_close(scm.log_prob({"x": X}), normal(X, 2.0, 1.0))
    with pytest.raises(ValueError, match=r"data\['loc'\] is impossible: an intervention"):
        scm.log_prob({"x": X, "loc": 1.0})
