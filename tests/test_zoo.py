"""The zoo's programs have the graph and the shapes they declare, and the registry is sound."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrocausal import zoo
from pyrocausal.model import SCM
from pyrocausal.zoo.registry import add, parse_edges

SHAPES = {
    ("vector", "V"): (7, 3),
    ("image", "image"): (7, 8, 8),
    **{("time_series", f"level_{t}"): (3, 7) for t in range(10)},
}
each_model = pytest.mark.parametrize("model", zoo.MODELS.values(), ids=zoo.MODELS)


def run(model: zoo.Model, rows: int, pinned: Mapping[str, Tensor]) -> dict[str, Any]:
    """Run the plain Pyro program, some of its sites pinned; return the sites."""
    with pyro.plate("units", rows):
        trace = pyro.poutine.trace(pyro.condition(model.program, dict(pinned))).get_trace()
    plates = {"sensors"}
    return {k: v for k, v in trace.nodes.items() if v["type"] == "sample" and k not in plates}


def draws(model: zoo.Model, pinned: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """Return what each site's distribution draws at one seed, all sites pinned."""
    drawn = {}
    for name, site in run(model, rows, pinned).items():
        torch.manual_seed(1)
        drawn[name] = site["fn"].sample()
    return drawn


@each_model
def test_every_program_gives_sites_the_shape_of_the_rows(model: zoo.Model) -> None:
    shapes = {name: tuple(site["value"].shape) for name, site in run(model, 7, {}).items()}
    assert shapes == {name: SHAPES.get((model.name, name), (7,)) for name in model.variables}


@each_model
def test_declared_edges_are_those_found_by_pinning_all_sites_and_moving_one(
    model: zoo.Model,
) -> None:
    rows = 500
    first, second = (run(model, rows, {}) for _ in range(2))
    pinned = {name: site["value"] for name, site in first.items()}
    before, found = draws(model, pinned, rows), set()
    for parent in pinned:
        after = draws(model, pinned | {parent: second[parent]["value"]}, rows)
        found |= {(parent, k) for k in before if (before[k] != after[k]).any()}
    assert found == model.edges


@pytest.mark.parametrize(("num_sites", "seed"), [(2, 0), (8, 0), (30, 1)])
def test_random_linear_truths_follow_from_the_inverse_of_its_matrix(
    num_sites: int, seed: int
) -> None:
    model = zoo.random_linear_model(num_sites, seed)
    names = [f"x{i}" for i in range(num_sites)]

    def means(values: Mapping[str, float]) -> NDArray[np.float64]:
        sites = run(model, 1, {name: torch.tensor([value]) for name, value in values.items()})
        return np.array([sites[name]["fn"].mean.item() for name in names])

    intercept = means(dict.fromkeys(names, 0.0))
    weights = np.stack(
        [means({k: float(k == name) for k in names}) - intercept for name in names], axis=1
    )
    assert {(names[j], names[i]) for i, j in np.argwhere(weights != 0)} == model.edges
    total = np.linalg.inv(np.eye(num_sites) - weights)
    cut = intercept.copy()
    cut[0] = 1.0
    expected = [(total @ intercept)[-1], (total @ cut)[-1], total[-1, 0]]
    np.testing.assert_allclose([truth.value for truth in model.truths], expected, atol=1e-5)


def test_random_linear_is_a_function_of_its_seed() -> None:
    edges = [zoo.random_linear_model(20, seed).edges for seed in (3, 3, 4)]
    assert edges[0] == edges[1] != edges[2]


def test_a_linear_model_of_one_site_is_refused() -> None:
    with pytest.raises(ValueError, match="num_sites=1, expected at least 2"):
        zoo.linear_chain_model(1)


@each_model
def test_every_truth_is_well_formed_for_its_rung_and_graph(model: zoo.Model) -> None:
    for truth in model.truths:
        targets = {target for world in truth.worlds for target in world}
        edges = {target for target in targets if isinstance(target, tuple)}
        assert edges <= model.edges
        named = {truth.variable, *truth.given, *truth.evidence, *(targets - edges)}
        assert named <= set(model.variables)
        assert not set(truth.evidence) & set(model.latent)
        assert (truth.rung == 1) == (truth.do is None)
        assert truth.rung == 3 or not truth.evidence
        assert truth.rung < 3 or not truth.given


@each_model
def test_every_model_has_truths_on_all_three_rungs(model: zoo.Model) -> None:
    assert {truth.rung for truth in model.truths} == {1, 2, 3}


@each_model
def test_every_program_says_what_it_is(model: zoo.Model) -> None:
    assert model.program.__doc__


def test_every_model_is_public_and_every_public_builder_is_a_model() -> None:
    tools = {"MODELS", "Model", "Truth", "models", "linear_chain_model", "random_linear_model"}
    tools |= {"CONFOUNDED", "Confounded"}
    assert set(zoo.__all__) - tools == set(zoo.MODELS)


def test_the_registry_is_read_only_and_refuses_a_second_model_of_one_name() -> None:
    with pytest.raises(ValueError, match="'chain' already"):
        add(zoo.MODELS["chain"])
    with pytest.raises(TypeError):
        zoo.MODELS["chain"] = zoo.MODELS["fork"]  # type: ignore[index]


def test_a_builder_returns_a_fresh_scm_with_the_models_latents() -> None:
    first, second = zoo.bow(), zoo.bow()
    assert isinstance(first, SCM)
    assert first is not second
    assert set(first.latent) == {"U"}


def test_edges_are_parsed_step_by_step() -> None:
    assert parse_edges("A -> B, C -> D") == {("A", "B"), ("A", "C"), ("B", "D"), ("C", "D")}
