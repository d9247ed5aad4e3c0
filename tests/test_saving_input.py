"""Files that would give other numbers are refused; what from_graph built comes back alone."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.building import GraphProgram
from pyrocausal.fitting.saving import HEADER
from pyrocausal.mechanisms import MLP, Flow, Linear, Parent, Table, heads
from pyrocausal.mechanisms.recipes import from_recipe, recipe_of

POSITIVE = dist.constraints.positive


def scaled(constraint: Any) -> Callable[[], None]:
    """A variable whose scale is held to a constraint."""

    def program() -> None:
        scale = pyro.param("scale", torch.tensor(2.0), constraint=constraint)
        pyro.sample("x", dist.Normal(pyro.param("loc", torch.tensor(0.0)), scale))

    return program


def line(t: Tensor) -> None:
    pyro.sample("y", dist.Normal(pyro.param("b", torch.tensor(0.5)) * t, 1.0))


@pc.scm(noise={"k": "quantile"}, latent=["u"])
def choice() -> None:
    u = pyro.sample("u", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))
    pyro.sample("k", dist.Categorical(logits=torch.stack([u, 0 * u, -u], -1)))


def same_samples(first: pc.SCM, second: pc.SCM) -> bool:
    one, other = (scm.sample(50, seed=3, latent=True) for scm in (first, second))
    return set(one) == set(other) and all(torch.equal(one[k], other[k]) for k in one)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the header of a file."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[HEADER])
        content = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    change(header)
    save_file(content, path, {HEADER: json.dumps(header)})


# ---------------------------------------------------------------- constraints


def test_a_parameter_of_another_constraint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    pc.SCM(scaled(POSITIVE)).save(path)
    words = r"constraints differ. scale is GreaterThan\(lower_bound=0.0\) in the file and Real\(\)"
    with pytest.raises(ValueError, match=words):
        pc.SCM.load(path, scaled(dist.constraints.real))
    with pytest.raises(ValueError, match=r"GreaterThan\(lower_bound=1.0\) in the program"):
        pc.SCM.load(path, scaled(dist.constraints.greater_than(1.0)))
    assert same_samples(pc.SCM.load(path, scaled(POSITIVE)), pc.SCM(scaled(POSITIVE)))


# ---------------------------------------------------------------- an SCM in a program's place


def test_a_decorated_program_is_loaded_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "model"
    choice.fit({"k": [0, 1, 2] * 10}, guide, steps=3, seed=0)
    choice.save(path)
    with pytest.warns(UserWarning, match="guide"):
        again = pc.SCM.load(path, choice)
    assert again is not choice
    assert again.latent == {"u"}
    assert again._core.couplings == {"k": "quantile"}
    assert same_samples(again, choice)


def guide(batch: Any) -> None:
    pyro.sample("u", dist.Normal(pyro.param("q", torch.tensor(0.0)), 1.0).expand(batch["k"].shape))


def test_an_scm_of_an_scm_is_another_one_of_its_program() -> None:
    one = pc.SCM(scaled(POSITIVE), name="first")
    one.fit({"x": torch.linspace(5, 9, 40)}, steps=5, lr=0.5, seed=0)
    other = pc.SCM(one)
    assert other.program is one.program
    assert repr(other) == "SCM first"
    assert same_samples(one, other)  # what was fitted is taken over,
    other.fit({"x": torch.linspace(-9, -5, 40)}, steps=5, lr=0.5, seed=0)
    assert not same_samples(one, other)  # as a copy
    assert pc.SCM(choice).latent == {"u"}
    assert pc.SCM(choice, noise={}, name="n")._core.couplings == {}


def test_an_scm_of_an_scm_shares_its_modules() -> None:
    program = pc.SCM.from_graph([("x", "y")], {"x": Linear(), "y": MLP(1)})
    assert same_samples(program, pc.SCM(program))


def test_an_scm_of_an_intervened_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"under x=1.*give SCM\(\) its program"):
        pc.SCM(pc.SCM(scaled(POSITIVE)).do(x=1.0))


def test_inputs_may_be_a_table(tmp_path: Path) -> None:
    path = tmp_path / "model"
    table: Any = pd.DataFrame({"t": np.arange(5.0, dtype="float32")})
    scm = pc.SCM(line)
    scm.sample(5, inputs=table, seed=0)
    scm.save(path)
    again = pc.SCM.load(path, line, inputs=table)
    assert torch.equal(
        again.sample(5, inputs=table, seed=0)["y"], scm.sample(5, inputs=table, seed=0)["y"]
    )


# ---------------------------------------------------------------- what from_graph built


# u -> x -> y -> k -> n; u is latent
def every_kind() -> pc.SCM:
    graph = pc.CausalGraph([("u", "x"), ("x", "y"), ("y", "k"), ("k", "n")], latent=["u"])
    three = Parent.categorical(3)
    return pc.SCM.from_graph(
        graph,
        {
            "u": dist.Normal(0.0, 1.0),
            "x": Flow(1, hidden=(4,), loc=3.0),
            "y": MLP(1, (4,), activation=nn.Tanh, head=heads.Mixture(2)),
            "k": Linear(1, heads.Categorical(3)),
            "n": Linear([three], "poisson"),
        },
    )


def test_a_model_of_library_mechanisms_is_loaded_without_its_program(tmp_path: Path) -> None:
    path, scm = tmp_path / "model", every_kind()
    scm.save(path)
    state = torch.get_rng_state()
    again = pc.SCM.load(path)
    assert torch.equal(state, torch.get_rng_state())
    assert isinstance(again.program, GraphProgram)
    assert again.latent == {"u"}
    assert again.graph.same_as(scm.graph)
    assert same_samples(scm, again)


def test_a_fitted_model_is_loaded_in_a_new_session(tmp_path: Path) -> None:
    # z -> x -> y <- z; a root with a mixture, a table, a network
    rng = np.random.default_rng(0)
    z, x = rng.normal(size=300), rng.integers(0, 2, size=300)
    table = pd.DataFrame({"z": z, "x": x, "y": 2 * x + z + rng.normal(size=300)})
    edges = [("z", "x"), ("z", "y"), ("x", "y")]
    scm = pc.SCM.from_graph(edges, data=table, steps=5, seed=0)
    path = tmp_path / "model.safetensors"
    scm.save(path)
    code = (
        "import sys, pyrocausal as pc\n"
        "y = pc.SCM.load(sys.argv[1]).do(x=1.0).sample(4, seed=0)['y']\n"
        "print(y.double().tolist())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout) == scm.do(x=1.0).sample(4, seed=0)["y"].double().tolist()


def test_mechanisms_that_are_code_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "model"

    def mechanisms() -> dict[str, Any]:
        return {"x": Linear(), "y": lambda x: dist.Normal(x, 1.0), "z": MLP(1, activation=Square)}

    edges = [("x", "y"), ("y", "z")]
    scm = pc.SCM.from_graph(edges, mechanisms())
    scm.save(path)
    with pytest.raises(ValueError, match=r"mechanisms of y, z, which are code.*SCM.from_graph\("):
        pc.SCM.load(path)
    assert same_samples(scm, pc.SCM.load(path, pc.SCM.from_graph(edges, mechanisms())))


class Square(nn.Module):
    """An activation of one's own."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square()


def test_a_mechanism_with_exchanged_parts_has_no_recipe(tmp_path: Path) -> None:
    changed = MLP(1, (4,))
    changed.network = nn.Sequential(nn.Linear(1, 1))
    pc.SCM.from_graph([("x", "y")], {"x": Linear(), "y": changed}).save(tmp_path / "model")
    with pytest.raises(ValueError, match="mechanisms of y"):
        pc.SCM.load(tmp_path / "model")


def test_a_program_of_ones_own_is_asked_for(tmp_path: Path) -> None:
    pc.SCM(scaled(POSITIVE)).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"not its code. Pass the program too"):
        pc.SCM.load(tmp_path / "model")


RECIPES: dict[str, Any] = {
    "linear": Linear([1, Parent.binary()], "negative_binomial"),
    "perceptron": MLP([Parent.continuous(3, [1.0, 2.0, 3.0], 2.0)], [5], activation=nn.ReLU),
    "flow": Flow(2, 3, bins=5, splines=2, hidden=(4,), loc=[1.0, 2.0, 3.0]),
    "table": Table([[0.25, 0.75], [1.0, 0.0]]),
    "learned table": Table.uniform([2, 3], 4),
    "binary table": Table(torch.tensor([0.1, 0.9]), binary=True, learn=True),
    **{
        type(head).__name__: MLP(1, head=head)
        for head in (heads.Bernoulli(), heads.Ordinal(4), heads.Poisson(scale=3.0))
    },
    "standard deviation": Linear(1, heads.Normal(heteroscedastic=True, loc=2.0, scale=3.0)),
    "count": Parent.count(1.0, 2.0),
}


@pytest.mark.parametrize("thing", RECIPES.values(), ids=RECIPES)
def test_a_recipe_makes_what_it_was_written_from(thing: Any) -> None:
    recipe = json.loads(json.dumps(recipe_of(thing)))
    twin = from_recipe(recipe)
    assert type(twin) is type(thing)
    assert recipe_of(twin) == recipe
    assert str(twin) == str(thing)
    if isinstance(thing, nn.Module):
        kinds = [{k: t.shape for k, t in m.state_dict().items()} for m in (thing, twin)]
        assert kinds[0] == kinds[1]
        assert all(torch.equal(t, twin.get_buffer(k)) for k, t in thing.named_buffers())


DISTRIBUTIONS = [
    dist.Normal(1.0, 2.0),
    dist.Normal(torch.tensor([0.1, 0.2]), 1.0),
    dist.LogNormal(1.0, 2.0),
    dist.Beta(2.0, 3.0),
    dist.Bernoulli(0.3),
    dist.Bernoulli(logits=torch.tensor(0.3)),
    dist.Categorical(torch.tensor([0.2, 0.8])),
    dist.Delta(torch.tensor(3.0)),
    dist.Gamma(2.0, 3.0),
    dist.Uniform(-1.0, 2.0),
    dist.Normal(torch.zeros(2), 1.0).to_event(1),
]


@pytest.mark.parametrize("fn", DISTRIBUTIONS, ids=str)
def test_a_recipe_of_a_distribution_makes_one_of_the_same_density(fn: Any) -> None:
    if hasattr(fn, "logits"):
        assert fn.logits is not None  # cached beside the probabilities
    twin = from_recipe(json.loads(json.dumps(recipe_of(fn))))
    x = fn.sample()
    assert torch.equal(twin.log_prob(x), fn.log_prob(x))


@pytest.mark.parametrize(
    "thing",
    [
        dist.Normal(0.0, 1.0).mask(torch.tensor(True)),
        dist.Normal(torch.tensor(0.1, dtype=torch.float64), 1.0),
        Square,
        Square(),
        len,
    ],
    ids=str,
)
def test_what_is_code_or_tells_not_all_has_no_recipe(thing: Any) -> None:
    with pytest.raises(TypeError, match="no recipe"):
        recipe_of(thing)


@pytest.mark.parametrize(
    "recipe",
    [
        {"make": "eval", "with": {}},
        {"make": "MLP"},
        {"make": "MLP", "with": {"parent": 1}},
        {"make": ["MLP"], "with": {}},
        {"distribution": "Trace", "with": {}},
        {"activation": "Parameter"},
        {},
    ],
    ids=str,
)
def test_a_recipe_that_makes_nothing_is_refused(recipe: Any) -> None:
    with pytest.raises(ValueError, match="makes nothing"):
        from_recipe(recipe)


# ---------------------------------------------------------------- files


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere to save model in"):
        pc.SCM(scaled(POSITIVE)).save(tmp_path / "nowhere" / "model")
    with pytest.raises(IsADirectoryError, match="is a folder; expected a file"):
        pc.SCM(scaled(POSITIVE)).save(tmp_path)


def test_an_incomplete_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model"
    pc.SCM(scaled(POSITIVE)).save(path)
    rewrite(path, lambda header: [header.pop(key) for key in ("latent", "noise")])
    with pytest.raises(ValueError, match="its header lacks latent, noise"):
        pc.SCM.load(path, scaled(POSITIVE))
    rewrite(path, lambda header: header.update(format=1) or header.pop("version"))
    with pytest.raises(ValueError, match="format 1 of pyrocausal unknown"):
        pc.SCM.load(path, scaled(POSITIVE))


@pytest.mark.parametrize(
    "change",
    [
        lambda recipe: recipe.pop("parents"),
        lambda recipe: recipe["mechanisms"].update(k={"make": "eval", "with": {}}),
        lambda recipe: recipe.update(mechanisms=3),
    ],
    ids=["no parents", "an unknown mechanism", "no mechanisms"],
)
def test_a_damaged_recipe_is_refused(change: Callable[[Any], object], tmp_path: Path) -> None:
    path = tmp_path / "model"
    every_kind().save(path)
    rewrite(path, lambda header: change(header["recipe"]))
    with pytest.raises(ValueError, match="damaged"):
        pc.SCM.load(path)
