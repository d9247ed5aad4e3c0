"""Evidence that was read in a mutilated world, masked values, policies, and reused abductions."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.errors import IncompleteEvidence, NotAbducible


# x -> y <- z, y = 2x + 3z + u
def _two_causes() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(2 * x + 3 * z, 1.0))


# z -> x -> y, w apart
def _chain() -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Normal(z, 1.0))
    pyro.sample("y", dist.Normal(2 * x, 1.0))
    pyro.sample("w", dist.Normal(0.0, 1.0))


def _number(value: Tensor) -> float:
    return float(value)


def test_evidence_read_while_an_edge_was_set_is_abducted_through_that_edge() -> None:
    world = pc.SCM(_two_causes).do(pc.edge("x", "y", 0.0))
    answer = world.counterfactual({"x": 1.0, "z": 1.0, "y": 5.0}, do={"z": 2.0})
    assert _number(answer.factual["y"]) == 5.0
    assert _number(answer["y"]) == pytest.approx(8.0)  # u = 5 - 3, and x counts as 0


def test_an_edge_leaves_the_other_causes_of_its_target_in_force() -> None:
    world = pc.SCM(_two_causes).do(pc.edge("x", "y", 0.0))
    assert world.abduct({"x": 1.0, "y": 5.0}, seed=0).routes["z"] == "gaussian"
    answer = world.counterfactual({"z": 1.0, "y": 5.0}, do={"z": 2.0})
    assert _number(answer["y"]) == pytest.approx(8.0)


@pytest.mark.parametrize("action", [pc.shift(10.0), pc.edit(lambda x: x + 10.0)])
def test_what_was_shifted_when_the_evidence_was_seen_is_not_shifted_again(action: Any) -> None:
    shifted = pc.SCM(_chain).do(x=action).counterfactual({"z": 0.0}, do={"w": 1.0}, seed=1)
    plain = pc.SCM(_chain).counterfactual({"z": 0.0}, do={"w": 1.0}, seed=1)
    assert _number(shifted["x"]) == pytest.approx(_number(plain["x"]) + 10.0, abs=1e-5)
    assert _number(shifted["x"]) == _number(shifted.factual["x"])


def test_what_is_reached_is_shifted_once_in_its_new_world() -> None:
    world = pc.SCM(_chain).do(x=pc.shift(10.0))
    answer = world.counterfactual({"z": 0.0}, do={"z": 1.0}, seed=1)
    assert _number(answer["x"]) == pytest.approx(_number(answer.factual["x"]) + 1.0, abs=1e-5)


def test_an_own_action_acts_on_what_the_standing_one_made() -> None:
    world = pc.SCM(_chain).do(x=1.0)
    answer = world.counterfactual({"y": 2.5}, do={"x": pc.shift(1.0)})
    assert _number(answer["x"]) == 2.0
    assert _number(answer["y"]) == pytest.approx(4.5)


@pytest.mark.parametrize("ask", ["counterfactual", "condition"])
def test_what_an_intervention_sets_need_not_be_given_as_evidence(ask: str) -> None:
    world = pc.SCM(_chain).do(x=2.0)
    if ask == "counterfactual":
        answer = world.counterfactual({"z": 1.0, "y": 4.5}, do={"x": 0.0})
        assert _number(answer["y"]) == pytest.approx(0.5)
    else:
        samples = world.condition(z=1.0, y=4.5).sample(3, seed=0)
        assert torch.equal(samples["x"], torch.full((3,), 2.0))


def test_a_latent_that_is_set_leaves_exact_abduction_possible() -> None:
    def bow() -> None:
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(u, 1.0))
        pyro.sample("y", dist.Normal(x + u, 1.0))

    world = pc.SCM(bow, latent=["u"]).do(u=1.0)
    answer = world.counterfactual({"x": 1.0, "y": 3.0}, do={"x": 0.0})
    assert _number(answer["y"]) == pytest.approx(2.0)


def test_a_policy_that_read_what_is_missing_leaves_its_variable_unknown() -> None:
    world = pc.SCM(_chain).do(x=pc.policy(lambda values: values["z"] + 1.0))
    for evidence in ({"x": 2.0}, {"y": 2.0}):
        with pytest.raises(IncompleteEvidence, match="rule"):
            world.counterfactual(evidence, do={"w": 0.0})
    answer = world.counterfactual({"z": 1.0, "y": 4.5}, do={"x": 0.0})
    assert _number(answer["y"]) == pytest.approx(0.5)


def test_evidence_where_a_mask_is_false_counts_as_missing() -> None:
    def masked(seen: Tensor) -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0).mask(seen))
        pyro.sample("y", dist.Normal(x, 1.0))

    scm = pc.SCM(masked)
    inputs = {"seen": torch.tensor([True, False])}
    evidence = {"x": torch.tensor([1.0, 1.0]), "y": torch.tensor([2.0, 2.0])}
    with pytest.raises(IncompleteEvidence, match="unit 1"):
        scm.counterfactual(evidence, do={"x": 0.0}, inputs=inputs)
    evidence["y"][1] = torch.nan
    answer = scm.counterfactual(evidence, do={"x": 0.0}, inputs=inputs)
    assert _number(answer["y"][0]) == 1.0


def test_two_families_in_two_worlds_have_noise_of_their_own() -> None:
    scm = pc.SCM(_chain)
    normal, uniform = dist.Normal(0.0, 1.0), dist.Uniform(0.0, 1.0)
    values = scm.do([{"x": normal}, {"x": uniform}]).sample(1000, seed=0)["x"]
    assert values[0].min() < 0
    assert 0 <= values[1].min() <= values[1].max() <= 1
    both = scm.do(x=normal).do(x=uniform).sample(1000, seed=0)["x"]
    assert torch.equal(both, values[1])
    again = scm.do([{"x": normal}, {"x": dist.Normal(3.0, 2.0)}]).sample(5, seed=0)["x"]
    torch.testing.assert_close(again[1], 3.0 + 2.0 * again[0])


def test_mixtures_of_other_families_do_not_share_noise() -> None:
    def mixture(family: Callable[..., Any], *parameters: Tensor) -> Any:
        weights = dist.Categorical(torch.ones(2))
        return dist.MixtureSameFamily(weights, family(*parameters))

    low, high = torch.tensor([-1.0, 0.0]), torch.tensor([0.0, 1.0])

    def program() -> None:
        pyro.sample("x", mixture(dist.Normal, low, torch.ones(2)))

    new = pc.mechanism(lambda values: mixture(dist.Uniform, low, high))
    values = pc.SCM(program).do(x=new).sample(1000, seed=0)["x"]
    assert -1 <= values.min() <= values.max() <= 1


@pytest.mark.parametrize("coupling", ["quantile", "independent", "gumbel-max"])
def test_the_same_mechanism_keeps_the_value_under_every_coupling(coupling: str) -> None:
    probs = torch.tensor([0.2, 0.3, 0.5])

    def program() -> None:
        pyro.sample("x", dist.Categorical(probs))

    scm = pc.SCM(program, noise={"x": coupling})
    x = scm.sample(200, seed=0)["x"]
    same = pc.mechanism(lambda values: dist.Categorical(probs))
    assert torch.equal(scm.counterfactual({"x": x}, do={"x": same}, seed=1)["x"], x)


def test_a_mechanism_replaces_a_site_that_has_no_equation() -> None:
    def program() -> None:
        pyro.sample("x", dist.Dirichlet(torch.ones(3)))

    new = pc.mechanism(lambda v: dist.MultivariateNormal(torch.zeros(3), torch.eye(3)))
    assert pc.SCM(program).do(x=new).sample(4, seed=0)["x"].shape == (4, 3)


def test_an_abduction_serves_only_the_question_it_was_made_for() -> None:
    def program(age: Tensor) -> None:
        x = pyro.sample("x", dist.Normal(age, pyro.param("scale", torch.tensor(1.0))))
        pyro.sample("y", dist.Normal(x + age, 1.0))

    scm, evidence = pc.SCM(program), {"x": [1.0], "y": [2.0]}
    abduction = scm.abduct(evidence, inputs={"age": torch.tensor([0.0])})

    def ask(asked: pc.SCM, age: float) -> Any:
        inputs = {"age": torch.tensor([age])}
        return asked.counterfactual(evidence, {"x": 0.0}, inputs=inputs, abduction=abduction)

    assert _number(ask(scm, 0.0)["y"]) == 1.0
    with pytest.raises(ValueError, match="other inputs"):
        ask(scm, 5.0)
    with pytest.raises(ValueError, match="another SCM"):
        ask(pc.SCM(program), 0.0)
    with pytest.raises(ValueError, match=r"under do\(\)|stands"):
        ask(scm.do(x=1.0), 0.0)
    with scm._core.scope.open(), torch.no_grad():
        pyro.get_param_store()["scale"].data.fill_(2.0)
    with pytest.raises(ValueError, match="parameters have changed"):
        ask(scm, 0.0)


def test_every_small_query_checks_that_what_it_keeps_has_not_moved() -> None:
    # The edge a -> y opens only where b is 1, which hardly any draw of the prior shows.
    def gated() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.sample("b", dist.Bernoulli(1e-6))
        pyro.sample("y", dist.Normal(5 * a * b, 1.0))

    scm = pc.SCM(gated)
    scm.counterfactual({"a": 0.0, "b": 0.0, "y": 0.0}, do={"a": 1.0})
    answer = scm.counterfactual({"a": 0.0, "b": 1.0, "y": 0.0}, do={"a": 1.0})
    assert _number(answer["y"]) == pytest.approx(5.0)


def _rarely_open(b: float) -> dict[str, list[float]]:
    return {"b": [b], "c": [50.0 * b], "y": [3.0]}


def test_an_edge_that_only_the_evidence_opens_has_what_is_missing_inferred() -> None:
    # The edge a -> y opens only where b is 1 and c is 50.
    def gated() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.sample("b", dist.Bernoulli(1e-6))
        c = pyro.sample("c", dist.Normal(0.0, 1.0))
        open_ = b * (c - 50.0).abs().lt(1e-3).float()
        pyro.sample("y", dist.Normal(5 * a * open_, 1.0))

    scm = pc.SCM(gated)
    assert not scm.graph.has_edge("a", "y")
    scm.counterfactual(_rarely_open(0.0), do={"b": 1.0})
    answer = scm.counterfactual(_rarely_open(1.0), do={"b": 0.0}, num_draws=500, seed=0)
    assert scm.graph.has_edge("a", "y")
    assert answer.routes["a"] == "gaussian"
    # a ~ Normal(0, 1) and y - 5 a ~ Normal(0, 1)
    error = (1 / 26 / answer["a"].numel()) ** 0.5
    assert _number(answer["a"].mean()) == pytest.approx(5 * 3 / 26, abs=4 * error)


def test_edges_of_shared_sites_are_refused_and_their_support_is_checked() -> None:
    def program() -> None:
        k = pyro.sample("k", dist.Categorical(torch.ones(3)))
        b = pyro.sample("b", dist.Normal(k.float(), 1.0))
        with pc.units():
            pyro.sample("y", dist.Normal(b, 1.0))

    scm = pc.SCM(program)
    for edge in (pc.edge("b", "k", 0), pc.edge("b", "y", 0.0)):
        with pytest.raises(ValueError, match="shared by all units"):
            scm.do(edge).sample(2)
    with pytest.raises(ValueError, match="Categorical can't take"):
        scm.do(k=7).sample(2)


def test_an_action_on_a_shared_site_above_another_is_refused_on_rung_3() -> None:
    def program() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.sample("b", dist.Normal(a, 1.0))
        with pc.units():
            pyro.sample("y", dist.Normal(b, 1.0))

    scm = pc.SCM(program)
    evidence = {"a": 1.0, "b": 2.0, "y": [3.0]}
    with pytest.raises(NotAbducible, match="'b'"):
        scm.counterfactual(evidence, do={"a": 0.0})
    answer = scm.counterfactual(evidence, do={"b": 0.0})
    assert _number(answer["y"]) == pytest.approx(1.0)


def test_names_are_looked_for_again_when_the_program_has_new_sites() -> None:
    more = False

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if more:
            pyro.sample("y", dist.Normal(x, 1.0))

    scm = pc.SCM(program)
    scm.sample(2)
    more = True
    assert scm.do(y=1.0).sample(2)["y"].tolist() == [1.0, 1.0]
    answer = scm.counterfactual({"x": 1.0, "y": 2.0}, do={"x": 0.0})
    assert _number(answer["y"]) == 1.0


def test_a_value_outside_the_support_is_refused_where_it_makes_nonsense() -> None:
    def program() -> None:
        r = pyro.sample("r", dist.Beta(2.0, 2.0))
        pyro.sample("y", dist.Bernoulli(r))

    scm = pc.SCM(program)
    assert scm.do(r=1.0).sample(3)["y"].tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="after 'r' has impossible parameters"):
        scm.do(r=5.0).sample(3)


def test_a_program_that_gives_nan_is_refused_by_name() -> None:
    def program() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        pyro.sample("b", dist.Normal(torch.log(a), 1.0))

    with pytest.raises(ValueError, match="NaN at 'b'"):
        pc.SCM(program).sample(100, seed=0)


def test_answers_name_the_latents_they_rest_on_and_no_coupling_of_what_was_set() -> None:
    def bow() -> None:
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Bernoulli(logits=u))
        pyro.sample("y", dist.Normal(x + u, 1.0))

    scm = pc.SCM(bow, latent=["u"])
    assert any("u, never observed" in said for said in scm.do(x=1.0).sample(3).assumptions)
    answer = pc.SCM(bow).counterfactual({"u": 0.0, "x": 0.0, "y": 0.0}, do={"x": 1.0})
    assert not any("coupling" in said for said in answer.assumptions)
