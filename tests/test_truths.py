"""Every known answer of the zoo, asked of the library on the rung it stands on."""

from collections.abc import Mapping
from typing import Any, Final

import networkx as nx
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.inference import METHODS
from pyrocausal.zoo.registry import Intervention

N: Final = 20_000
TRUTHS: Final = {
    f"{name}: {truth.query}": (model, truth)
    for name, model in zoo.MODELS.items()
    for truth in model.truths
}


def needs_inference(model: zoo.Model, truth: zoo.Truth) -> bool:
    """Say whether something was seen whose causes were not, by the graph the zoo declares."""
    graph = nx.DiGraph(model.edges)
    above: set[str] = set().union(*(nx.ancestors(graph, name) for name in truth.evidence))
    return not above <= set(truth.evidence)


INFERENCE: Final = {query: case for query, case in TRUTHS.items() if needs_inference(*case)}
each_truth = pytest.mark.parametrize(("model", "truth"), TRUTHS.values(), ids=TRUTHS)
each_inference = pytest.mark.parametrize(("model", "truth"), INFERENCE.values(), ids=INFERENCE)


def intervention(world: Intervention) -> Any:
    """Write a world of the registry as an intervention; a pair of variables is an edge."""
    edges = tuple(pc.edge(*key, value) for key, value in world.items() if isinstance(key, tuple))
    return ({key: value for key, value in world.items() if isinstance(key, str)}, *edges)


def asked(truth: zoo.Truth) -> Any:
    """Return what the truth does: one intervention, or a list of worlds."""
    worlds = [intervention(world) for world in truth.worlds]
    return worlds if isinstance(truth.do, tuple) else worlds[0]


def shape(value: Any) -> torch.Size:
    """Return the shape of a value that is given as a number or as a sequence of numbers."""
    return torch.as_tensor(value).shape


def imagine(scm: pc.SCM, model: zoo.Model, truth: zoo.Truth) -> Mapping[str, Tensor]:
    """Answer a truth on rung 3: for one unit or many alike, or for units seen at the roots."""
    if truth.evidence and truth.exact:
        answer = scm.counterfactual(dict(truth.evidence), asked(truth))
        assert answer.dims == ()
        return {name: value[None] for name, value in answer.items()}
    if truth.evidence:
        units = N // 100
        evidence = {k: torch.tensor(v).expand(units, *shape(v)) for k, v in truth.evidence.items()}
        answer = scm.counterfactual(evidence, asked(truth), num_draws=100, seed=1)
        assert answer.dims == ("draw", "unit")
        return {name: value.flatten(0, 1) for name, value in answer.items()}
    children = {child for _, child in model.edges}
    sample = scm.sample(N, seed=1)
    evidence = {name: value for name, value in sample.items() if name not in children}
    return scm.counterfactual(evidence, asked(truth), seed=2)


def act(scm: pc.SCM, truth: zoo.Truth) -> Mapping[str, Tensor]:
    """Answer a truth on rung 1 or 2."""
    answer = (scm.do(asked(truth)) if truth.do is not None else scm).sample(N, seed=1)
    assert answer.rung == truth.rung
    return answer


@each_truth
def test_every_truth_is_found_on_its_rung(model: zoo.Model, truth: zoo.Truth) -> None:
    scm = model.scm()
    answer = imagine(scm, model, truth) if truth.rung == 3 else act(scm, truth)
    measured = truth.measure(answer[truth.variable])
    if truth.given:
        holds = [answer[name] == value for name, value in truth.given.items()]
        measured = measured[torch.stack(holds).all(0)]
    rounding = 1e-4 * (1 + abs(truth.value))
    if truth.exact:
        assert len(measured) > 0
        assert bool(((measured - truth.value).abs() < rounding).all())
        return
    rows = measured.reshape(len(measured), -1).mean(1)
    assert len(rows) > 1000, "too few units to judge by"
    error = float(rows.std()) / len(rows) ** 0.5
    assert 0 < error < 0.05 * (1 + rows.abs().max()), "the average says nothing"
    assert abs(float(rows.mean()) - truth.value) < 4 * error + 1e-6


@each_inference
def test_the_plan_says_what_a_truth_takes_to_infer(model: zoo.Model, truth: zoo.Truth) -> None:
    scm = model.scm()
    plan = scm.plan(truth.evidence)
    inferred = {name for name, route in plan.routes.items() if route in METHODS}
    assert inferred
    abduction = scm.abduct(dict(truth.evidence), seed=0)
    assert abduction.quality is not None
    assert not bool(abduction.quality.unreliable.any())
    for name in inferred:
        assert plan.routes[name] in abduction.routes[name]


def test_those_that_need_inference_are_these() -> None:
    number = {name: 0 for name in zoo.MODELS}
    for model, _ in INFERENCE.values():
        number[model.name] += 1
    assert {name: count for name, count in number.items() if count} == {
        "alarm": 1,
        "bow": 2,
        "collider": 3,
        "diamond": 1,
        "front_door": 1,
        "instrument": 2,
        "m_bias": 1,
        "napkin": 1,
        "triangle": 2,
        "vaccine": 2,
        "vector": 1,
    }


@pytest.mark.parametrize("name", [name for name, model in zoo.MODELS.items() if model.latent])
def test_evidence_on_a_latent_variable_is_refused(name: str) -> None:
    scm = zoo.MODELS[name].scm()
    sample = scm.sample(3, seed=0, latent=True)
    for hidden in scm.latent:
        assert hidden not in scm.sample(3, seed=0)
        with pytest.raises(ValueError, match=f"{hidden!r}, which is latent"):
            scm.abduct({hidden: sample[hidden]})


@pytest.mark.parametrize("name", zoo.MODELS)
def test_the_graph_is_the_declared_one(name: str) -> None:
    model, scm = zoo.MODELS[name], zoo.MODELS[name].scm()
    assert set(scm.graph.edges) == model.edges
    for variable in scm.variables:
        cut = scm.do({variable: 1.0}).graph
        assert set(cut.edges) == {edge for edge in model.edges if edge[1] != variable}
