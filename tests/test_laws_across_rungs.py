"""Seeing, doing and imagining agree: one seed is one set of units on all rungs."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import networkx as nx
import pyro
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal import zoo

SEED: Final = 7
Values = Mapping[str, Tensor]
each_model = pytest.mark.parametrize("name", zoo.MODELS)


@cache
def scm_of(name: str) -> pc.SCM:
    """Return a model whose latent variables may be seen."""
    return pc.SCM(zoo.MODELS[name].program, name=name)


def descendants(name: str, variable: str) -> set[str]:
    """Return what is below a variable in the graph that the zoo declares."""
    return set(nx.descendants(nx.DiGraph(zoo.MODELS[name].edges), variable))


def roots(name: str, sample: Values) -> dict[str, Tensor]:
    """Return the variables without causes."""
    children = {child for _, child in zoo.MODELS[name].edges}
    return {variable: v for variable, v in sample.items() if variable not in children}


def beginnings(sample: Values) -> Iterator[dict[str, Tensor]]:
    """Yield the first variables in the order of execution: one, two, and so on to all."""
    for number in range(1, len(sample) + 1):
        yield dict(list(sample.items())[:number])


def assert_equal(found: Values, expected: Values) -> None:
    """Check that all values are the same to the last bit."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def assert_close(found: Values, expected: Values, rtol: float) -> None:
    """Check that values agree, where a sum's terms may be as large as the largest value."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        atol = rtol * float(value.abs().max())
        torch.testing.assert_close(found[name], value, rtol=rtol, atol=atol, msg=explain(name))


def explain(name: str) -> Callable[[str], str]:
    return lambda message: f"{name}: {message}"


@each_model
def test_more_units_begin_with_the_same_units(name: str) -> None:
    scm = scm_of(name)
    many, few = scm.sample(10, seed=SEED), scm.sample(5, seed=SEED)
    assert_equal({k: v[:5] for k, v in many.items()}, few)
    first = next(iter(many))
    action = {first: many[first][0]}
    many, few = (scm.counterfactual(sample, action, seed=3) for sample in (many, few))
    assert_close({k: v[:5] for k, v in many.items()}, few, rtol=1e-5)


@each_model
def test_another_seed_is_another_set_of_units(name: str) -> None:
    scm = scm_of(name)
    first, second = scm.sample(40, seed=SEED), scm.sample(40, seed=SEED + 1)
    assert all(not torch.equal(first[k], second[k]) for k in first)


@each_model
def test_doing_leaves_what_is_not_below_as_it_is_seen_to_the_last_bit(name: str) -> None:
    scm = scm_of(name)
    seen = scm.sample(20, seed=SEED)
    for variable, value in seen.items():
        done = scm.do({variable: value.roll(1, 0)}).sample(20, seed=SEED)
        kept = set(seen) - descendants(name, variable) - {variable}
        assert_equal({k: done[k] for k in kept}, {k: seen[k] for k in kept})
        assert_equal(done.natural, {variable: value})


@each_model
def test_no_action_leaves_the_sample_as_it_is(name: str) -> None:
    scm = scm_of(name)
    seen = scm.sample(20, seed=SEED)
    assert_equal(scm.do({}).sample(20, seed=SEED), seen)
    for variable, value in seen.items():
        assert_equal(scm.do({variable: value}).sample(20, seed=SEED), seen)


@each_model
def test_what_was_not_seen_is_completed_as_the_seed_had_it(name: str) -> None:
    scm = scm_of(name)
    sample = scm.sample(20, seed=SEED)
    for evidence in beginnings(sample):
        abduction = scm.abduct(evidence, seed=SEED)
        factual = {k: v[0, 0] for k, v in abduction.factual.items()}
        assert_close(factual, sample, rtol=1e-5)


@each_model
def test_abduction_after_sampling_returns_the_noise(name: str) -> None:
    # The noise of units of which nothing was observed is what sampling draws.
    scm = scm_of(name)
    sample = scm.sample(200, seed=SEED)
    nothing = {k: torch.full(v.shape, torch.nan) for k, v in sample.items()}
    drawn, found = (scm.abduct(evidence, seed=SEED) for evidence in (nothing, sample))
    sites = [v.name for v in scm.variables.values() if not v.discrete and not v.deterministic]
    for site in sites:
        assert found.routes[site] in ("exact", "quantile")
        u, known = drawn.noise.known[site], found.noise.known[site]
        assert isinstance(u, Tensor)
        assert isinstance(known, Tensor)
        torch.testing.assert_close(known, u, rtol=1e-4, atol=1e-4, msg=explain(site))


@each_model
def test_abducted_noise_gives_the_values_back(name: str) -> None:
    # Of discrete variables the noise is one of many; whichever is found gives the same values.
    scm = scm_of(name)
    sample = scm.sample(200, seed=SEED)
    given = next(iter(roots(name, sample)))
    for seed in range(3):
        answer = scm.counterfactual(sample, {given: sample[given]}, seed=seed)
        assert_close(answer, sample, rtol=1e-5)


@each_model
def test_imagining_equals_doing_for_units_of_one_seed(name: str) -> None:
    # With the roots alone as evidence all other noise is the seed's; with everything as evidence
    # it is found again, except that of discrete variables, which their values don't determine.
    scm = scm_of(name)
    sample = scm.sample(20, seed=SEED)
    for variable, value in sample.items():
        action = {variable: value.roll(1, 0)}
        done = scm.do(action).sample(20, seed=SEED)
        imagined = scm.counterfactual(roots(name, sample), action, seed=SEED)
        assert_close(imagined, done, rtol=1e-5)
        if not any(scm.variables[k].discrete for k in descendants(name, variable)):
            assert_close(scm.counterfactual(sample, action), done, rtol=1e-4)


@each_model
@pytest.mark.parametrize("kind", ["everything", "roots"])
def test_doing_is_the_average_of_imagining_over_the_units(name: str, kind: str) -> None:
    scm, n = scm_of(name), 2000
    sample = scm.sample(n, seed=11)
    evidence = dict(sample) if kind == "everything" else roots(name, sample)
    abduction = scm.abduct(evidence, seed=12)
    for variable, value in list(sample.items())[:4]:
        action = {variable: value[0]}
        imagined = scm.counterfactual(evidence, action, abduction=abduction)
        done = scm.do(action).sample(n, seed=13)
        for site in sample:
            for power in (1, 2):
                first, second = (x[site].double() ** power for x in (imagined, done))
                error = ((first.var(0) + second.var(0)) / n).sqrt()
                rounding = 1e-6 * (1 + second.abs().amax())
                assert bool(((first.mean(0) - second.mean(0)).abs() <= 4 * error + rounding).all())


@each_model
def test_the_value_recorded_in_the_program_is_the_one_set(name: str) -> None:
    recorded: dict[str, Any] = {}
    program = zoo.MODELS[name].program

    def watched() -> None:
        recorded.update(pyro.poutine.trace(program).get_trace().nodes)

    scm = pc.SCM(watched)
    sample = scm.sample(5, seed=SEED)
    for variable, about in scm.variables.items():
        value = sample[variable]
        for given in (value.flatten()[0].item(), value[0], value[:1].double()):
            expected = torch.as_tensor(given).to(about.dtype).expand_as(value)
            answers: list[Callable[[Any], Any]] = [
                lambda do: scm.do(do).sample(5, seed=SEED),
                lambda do: scm.counterfactual(sample, do, seed=SEED),
            ]
            for answer in answers:
                result = answer({variable: given})[variable]
                inside = recorded[variable]["value"]
                assert inside.is_contiguous()
                assert inside.dtype == result.dtype == about.dtype
                assert torch.equal(inside.movedim(len(about.inner), 0), expected)
                assert torch.equal(result, expected)


@each_model
def test_24_worlds_are_one_run_of_the_program_on_24_times_the_rows(name: str) -> None:
    rows: list[int] = []
    program, first = zoo.MODELS[name].program, next(iter(scm_of(name).variables))

    def counted() -> None:
        nodes: Mapping[str, Any] = pyro.poutine.trace(program).get_trace().nodes
        rows.append(len(nodes[first]["value"]))

    scm = pc.SCM(counted)
    sample = scm.sample(8, seed=SEED)
    worlds = [{k: v[i]} for k, v in list(sample.items())[-3:] for i in range(8)]
    scm.counterfactual(sample, worlds, seed=SEED)
    rows.clear()
    scm.counterfactual(sample, worlds, seed=SEED)
    assert rows == [8, 24 * 8]
    rows.clear()
    scm.do(worlds).sample(8, seed=SEED)
    assert rows == [24 * 8]


@each_model
def test_the_worlds_of_a_list_are_those_sampled_one_by_one(name: str) -> None:
    scm = scm_of(name)
    sample = scm.sample(20, seed=SEED)
    worlds: list[Any] = [{}, *({k: v.roll(1, 0)} for k, v in sample.items())]
    together = scm.do(worlds).sample(20, seed=SEED)
    for index, world in enumerate(worlds):
        alone = scm.do(world).sample(20, seed=SEED)
        assert_close({k: v[index] for k, v in together.items()}, alone, rtol=1e-5)


@each_model
def test_a_second_action_acts_on_what_the_first_has_made(name: str) -> None:
    scm = scm_of(name)
    sample = scm.sample(20, seed=SEED)
    for variable, value in sample.items():
        other = value.roll(1, 0)
        target = scm.do({variable: other}).sample(20, seed=SEED)
        first = scm.do({variable: value})
        assert_equal(first.do({variable: other}).sample(20, seed=SEED), target)
        shifted = first.do({variable: pc.shift(other - value)}).sample(20, seed=SEED)
        assert_close(shifted, target, rtol=1e-5)
        assert_equal(scm.sample(20, seed=SEED), sample)


def test_a_shift_after_setting_1_sets_2() -> None:
    scm = zoo.chain()
    assert scm.do(X=1.0).do(X=pc.shift(1.0)).sample(3)["X"].tolist() == [2.0] * 3
    answer = scm.counterfactual({"X": 5.0}, ({"X": 1.0}, {"X": pc.shift(1.0)}))
    assert answer["X"].item() == 2.0
    assert scm.do(X=1.0).counterfactual({"X": 1.0}, {"X": pc.shift(1.0)})["X"].item() == 2.0


@each_model
def test_condition_keeps_the_evidence_and_draws_the_rest_as_the_seed_has_it(name: str) -> None:
    scm = scm_of(name)
    sample = scm.sample(20, seed=SEED)
    for evidence in beginnings(sample):
        given = scm.condition(evidence).sample(20, seed=SEED)
        assert_equal({k: given[k] for k in evidence}, evidence)
        assert_close(given, sample, rtol=1e-5)
    assert_equal(scm.sample(20, seed=SEED), sample)


@each_model
def test_to_see_a_root_is_to_do_it(name: str) -> None:
    scm = scm_of(name)
    sample = scm.sample(20, seed=SEED)
    for root, value in roots(name, sample).items():
        number = value.flatten()[0].item()
        seen = scm.condition({root: number}).sample(20, seed=SEED)
        assert_equal(seen, scm.do({root: number}).sample(20, seed=SEED))


@each_model
def test_condition_reads_evidence_after_the_action(name: str) -> None:
    scm = scm_of(name)
    sample = scm.sample(20, seed=SEED)
    last, *_ = reversed(list(sample))
    for variable in set(sample) - {last}:
        action = {variable: sample[variable].roll(1, 0)}
        world = dict(scm.do(action).sample(20, seed=SEED))
        del world[last]
        given = scm.do(action).condition(world).sample(20, seed=SEED)
        assert_equal({k: given[k] for k in world}, world)
        # What was seen of a variable in its own world can't contradict its action.
        if not bool((action[variable] == sample[variable]).all()):
            with pytest.raises(ValueError, match="an intervention sets it another value"):
                scm.do(action).condition({variable: sample[variable]}).sample(20)


@each_model
def test_a_discrete_variable_can_be_set_to_its_support_alone(name: str) -> None:
    scm = scm_of(name)
    sample = scm.sample(5, seed=SEED)
    for variable, about in scm.variables.items():
        if not about.discrete:
            continue
        for outside in (-1.0, 0.5):
            with pytest.raises(ValueError, match=variable):
                scm.do({variable: outside}).sample(5)
            with pytest.raises(ValueError, match=variable):
                scm.counterfactual(sample, {variable: outside})
        with pytest.raises(ValueError, match=variable):
            scm.counterfactual(sample, {variable: pc.shift(-100)})
