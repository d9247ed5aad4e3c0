"""The laws of counterfactuals, on every model of the zoo and every kind of evidence."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import networkx as nx
import pyro
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.engine.abduction import Abduction

UNITS: Final = 24
Values = Mapping[str, Tensor]


def everything(sample: Values, model: zoo.Model) -> dict[str, Tensor]:
    """All variables of all units."""
    return dict(sample)


def roots(sample: Values, model: zoo.Model) -> dict[str, Tensor]:
    """The variables without causes."""
    children = {child for _, child in model.edges}
    return {name: value for name, value in sample.items() if name not in children}


def first_half(sample: Values, model: zoo.Model) -> dict[str, Tensor]:
    """The variables that the program runs first."""
    names = list(sample)
    return {name: sample[name] for name in names[: (len(names) + 1) // 2]}


def unit_by_unit(sample: Values, model: zoo.Model) -> dict[str, Tensor]:
    """For each unit another number of variables, from none to all; NaN for the others."""
    units = torch.arange(UNITS) % (len(sample) + 1)
    return {
        name: torch.where(over(units > position, value), value.float(), torch.nan)
        for position, (name, value) in enumerate(sample.items())
    }


PATTERNS: Final = {
    "everything": everything,
    "roots": roots,
    "first half": first_half,
    "unit by unit": unit_by_unit,
}
"""Evidence that needs no inference: whatever is observed, its causes are observed too."""


@dataclass(frozen=True)
class Case:
    """Units of a model, and what was seen of them; latent variables may be seen here."""

    model: zoo.Model
    scm: pc.SCM
    evidence: Values
    abduction: Abduction
    factual: Values

    @classmethod
    @cache
    def of(cls, name: str, pattern: str) -> "Case":
        """Sample units, hide a part of them, and complete them from the prior again."""
        model = zoo.MODELS[name]
        scm = pc.SCM(model.program, name=name)
        evidence = PATTERNS[pattern](scm.sample(UNITS, seed=1), model)
        abduction = scm.abduct(evidence, seed=2)
        factual = {name: value[0, 0] for name, value in abduction.factual.items()}
        return cls(model, scm, evidence, abduction, factual)

    def ask(self, do: Any) -> Any:
        """Ask what would have been, of the same units each time."""
        return self.scm.counterfactual(self.evidence, do, abduction=self.abduction)

    def ask_afresh(self, do: Any, **options: Any) -> Any:
        """Ask the same, with an abduction of its own."""
        return self.scm.counterfactual(self.evidence, do, seed=2, **options)

    def descendants(self, name: str) -> set[str]:
        """Return what is below a variable in the graph that the zoo declares."""
        return set(nx.descendants(nx.DiGraph(self.model.edges), name))

    def others(self) -> Iterator[tuple[str, Tensor]]:
        """Yield variables, all of them in small models, with values that other units have."""
        names = list(self.factual)
        for name in names[:: 1 + len(names) // 6]:
            yield name, self.factual[name].roll(1, 0)


@pytest.fixture(
    params=[(name, pattern) for name in zoo.MODELS for pattern in PATTERNS], ids="-".join
)
def case(request: pytest.FixtureRequest) -> Case:
    return Case.of(*request.param)


def over(mask: Tensor, value: Tensor) -> Tensor:
    """Lay a mask of units over a value."""
    return mask.reshape(mask.shape + (1,) * (value.dim() - 1))


def world_of(answer: Values, index: int) -> dict[str, Tensor]:
    """Return one world of an answer."""
    return {name: value[index] for name, value in answer.items()}


def assert_equal(found: Values, expected: Values) -> None:
    """Check that all values are the same to the last bit."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name


def assert_close(found: Values, expected: Values, rtol: float = 1e-5) -> None:
    """Check that values agree, where a sum's terms may be as large as the largest value."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        atol = rtol * float(value.abs().max())
        torch.testing.assert_close(found[name], value, rtol=rtol, atol=atol, msg=explain(name))


def explain(name: str) -> Callable[[str], str]:
    return lambda message: f"{name}: {message}"


def same(found: Tensor, expected: Tensor) -> Tensor:
    """Say for which units two values agree."""
    near = torch.isclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    return near.reshape(len(near), -1).all(1)


def test_no_action_gives_the_factual_world(case: Case) -> None:
    assert_equal(case.ask({}), case.factual)
    name, value = next(case.others())
    assert_equal(world_of(case.ask([{name: value}, {}]), 1), case.factual)


def test_evidence_is_kept_in_the_factual_world(case: Case) -> None:
    for name, value in case.evidence.items():
        seen = ~value.isnan()
        assert torch.equal(case.factual[name][seen].to(value.dtype), value[seen])
    assert_equal(case.ask({}).factual, case.factual)


def test_composition_setting_a_variable_to_its_factual_value_changes_nothing(case: Case) -> None:
    for name, value in case.factual.items():
        assert_close(case.ask({name: value}), case.factual)


def test_composition_setting_what_a_world_has_anyway_changes_nothing_there(case: Case) -> None:
    for name, value in case.others():
        world = case.ask({name: value})
        again = [{name: value, other: world[other]} for other in world if other != name]
        answer = case.ask(again)
        for index in range(len(again)):
            assert_close(world_of(answer, index), world)


def test_effectiveness_an_intervened_variable_has_the_value_it_was_set_to(case: Case) -> None:
    for name, value in case.others():
        number = value.flatten()[0].item()
        for given, expected in (
            (value, value),
            (value[0], value[0].expand_as(value)),
            (value.tolist(), value),
            (number, torch.full_like(value, number)),
        ):
            answer = case.ask({name: given})
            assert_equal({name: answer[name]}, {name: expected})
            assert_equal(answer.natural, {name: case.factual[name]})


def test_reversibility_effects_that_cause_each_other_are_those_without_action(case: Case) -> None:
    # If setting W to w makes Y be y, and setting Y to y makes W be w, then Y is y unasked.
    # Every second unit is offered its own w and y, for which this must hold.
    own = torch.arange(UNITS) % 2 == 0
    for w, y in case.model.edges:
        x, value = next((name, value) for name, value in case.others() if name not in (w, y))
        world = case.ask({x: value})
        offer = {
            name: torch.where(over(own, world[name]), world[name], world[name].roll(1, 0))
            for name in (w, y)
        }
        answer = case.ask([{x: value, name: offer[name]} for name in (w, y)])
        holds = same(answer[y][0], offer[y]) & same(answer[w][1], offer[w])
        assert bool(holds[own].all())
        assert bool(same(world[y], offer[y])[holds].all())


def test_an_action_that_is_undone_leaves_the_factual_world(case: Case) -> None:
    for name, value in case.others():
        below = case.descendants(name)
        if any(case.scm.variables[other].discrete for other in below):
            continue  # their noise is not determined by their values
        world = dict(case.ask({name: value}))
        back = case.scm.do({name: value}).counterfactual(world, {name: case.factual[name]})
        assert_close(back, case.factual, rtol=1e-4)


def test_what_is_not_below_an_action_keeps_its_factual_value_to_the_last_bit(case: Case) -> None:
    for name, value in case.others():
        answer = case.ask({name: value})
        kept = set(answer) - case.descendants(name) - {name}
        assert_equal({k: answer[k] for k in kept}, {k: case.factual[k] for k in kept})


def test_the_last_of_two_actions_on_a_variable_counts(case: Case) -> None:
    for name, value in case.others():
        last = case.ask({name: value})
        assert_equal(case.ask(({name: value.roll(1, 0)}, {name: value})), last)
        assert_equal(case.ask(({name: value}, {name: pc.edit(lambda x: x)})), last)


def test_a_shift_acts_on_the_value_that_is_there(case: Case) -> None:
    for name, value in case.others():
        target = case.ask({name: value})
        step = pc.shift(value - case.factual[name])
        assert_close(case.ask({name: step}), target)
        there = value.roll(1, 0)
        step = pc.shift(value - there)
        assert_close(case.ask(({name: there}, {name: step})), target)
        world = dict(case.ask({name: there}))
        under = case.scm.do({name: there}).counterfactual(world, {name: step})
        assert_close({name: under[name]}, {name: value})


def test_worlds_asked_together_are_those_asked_one_by_one(case: Case) -> None:
    first, *rest = [{name: value} for name, value in case.others()]
    worlds = [{}, first, *rest, first | rest[-1]]
    together = case.ask(worlds)
    for index, world in enumerate(worlds):
        alone = case.ask(world)
        assert_close(world_of(together, index), alone)
        if is_elementwise(case.model):
            assert_equal(world_of(together, index), alone)


def is_elementwise(model: zoo.Model) -> bool:
    """Say whether a program only has operations that act on each number alone."""
    return model.name not in ("image", "vector", "time_series")


def test_setting_all_edges_out_of_a_variable_is_setting_it_for_all_others(case: Case) -> None:
    for name, value in case.others():
        children = [child for parent, child in case.model.edges if parent == name]
        edges = tuple(pc.edge(name, child, value) for child in children)
        answer = dict(case.ask(edges))
        assert_equal({name: answer.pop(name)}, {name: case.factual[name]})
        target = dict(case.ask({name: value}))
        del target[name]
        assert_close(answer, target)


def test_eight_values_of_three_variables_are_24_worlds(case: Case) -> None:
    chosen = list(case.factual)[-3:]
    worlds = [{name: case.factual[name][i]} for name in chosen for i in range(8)]
    answer = case.ask(worlds)
    for name, value in case.factual.items():
        assert answer[name].shape == (24, *value.shape)
    for index in (0, 9, 23):
        assert_close(world_of(answer, index), case.ask(worlds[index]))


def test_a_grid_is_the_list_of_its_worlds(case: Case) -> None:
    for name, value in case.factual.items():
        assert_equal(
            case.ask({name: pc.grid(value[:3])}), case.ask([{name: v} for v in value[:3]])
        )


def test_an_abduction_serves_all_questions_about_its_units(case: Case) -> None:
    for name, value in case.others():
        assert_equal(case.ask_afresh({name: value}), case.ask({name: value}))


def test_several_draws_begin_with_the_only_draw(case: Case) -> None:
    name, value = next(case.others())
    many = case.ask_afresh([{name: value}, {}], num_draws=3)
    assert many.dims == ("draw", "world", "unit")
    assert_close(world_of(many, 0), case.ask([{name: value}, {}]))
    single = case.ask_afresh({name: value}, num_draws=1)
    assert_close(world_of(single, 0), case.ask({name: value}))


def test_every_value_in_every_world_is_one_that_its_variable_can_take(case: Case) -> None:
    for name, value in case.others():
        answer = case.ask({name: value})
        pinned = {k: v.movedim(0, len(case.scm.variables[k].inner)) for k, v in answer.items()}
        with pyro.plate("units", UNITS):
            trace = pyro.poutine.trace(pyro.condition(case.model.program, pinned)).get_trace()
        nodes: Mapping[str, Any] = trace.nodes
        for site, variable in case.scm.variables.items():
            if not variable.deterministic:
                assert bool(nodes[site]["fn"].support.check(pinned[site]).all()), site


def test_a_part_of_a_plate_is_not_taken_for_evidence_without_its_causes() -> None:
    # level_0 -> level_1, both in a plate of three sensors inside each unit
    scm = zoo.time_series()
    sample = scm.sample(4, seed=0, variables=["drive", "level_0", "level_1"])
    first = torch.arange(3) == 0
    evidence = dict(sample) | {"level_0": torch.where(first, sample["level_0"], torch.nan)}
    below = evidence | {"level_1": torch.where(first, torch.nan, sample["level_1"])}
    abduction = scm.abduct(below, seed=0)
    assert "where missing" in abduction.routes["level_0"]
    assert abduction.quality is not None
    assert bool((abduction.factual["level_0"][0, 0, :, 0] == sample["level_0"][:, 0]).all())
    assert scm.abduct(evidence | {"level_1": torch.full((4, 3), torch.nan)}).draws == 1
