"""Counterfactual identification: the known formulas, the verdicts, and worlds enumerated."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from exact_tables import states_of

import pyrocausal as pc
from pyrocausal.identification import identify_along_paths
from pyrocausal.identification.discrete_models import DiscreteModel
from pyrocausal.identification.evaluating import experiment_of
from pyrocausal.identification.expressions import probabilities_in

BACK_DOOR = pc.CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
FRONT_DOOR = pc.CausalGraph([("X", "M"), ("M", "Y")], bidirected=[("X", "Y")])
BOW = pc.CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
CHAIN = pc.CausalGraph([("X", "M"), ("M", "Y")])
MEDIATION = [("X", "M"), ("X", "Y"), ("M", "Y")]
COVARIATE = pc.CausalGraph([("Z", "X"), ("Z", "M"), ("Z", "Y"), *MEDIATION])
NESTED = "P(Y_{X=x, M_{X=x'}})"


@pytest.mark.parametrize(
    ("graph", "query", "formula", "verdict"),
    [
        (BACK_DOOR, "P(Y_{X=x} | X=x')", "sum_z P(y | x, z) P(z | x')", "observation"),
        (BACK_DOOR, "P(Y_{X=1.0}, X_{X=1}=1)", "sum_z P(y | x=1, z) P(z)", "observation"),
        (BACK_DOOR, "P(Y_{X=1} | X=0)", "sum_z P(y | x=1, z) P(z | x=0)", "observation"),
        (FRONT_DOOR, "P(Y_{X=x} | X=x')", "sum_m P(m | x) P(y | x', m)", "observation"),
        (
            COVARIATE,
            NESTED,
            "sum_{z,m} P(y | x, m, z) P(m | x', z) P(z)",
            "observation",
        ),
        (
            pc.CausalGraph(MEDIATION, bidirected=[("X", "Y")]),
            NESTED,
            "sum_m P(y | do(x, m)) P(m | x')",
            "experiments",
        ),
        (BACK_DOOR, "P(Y_{X=x})", "sum_z P(y | x, z) P(z)", "observation"),
        (BOW, "P(Y_{X=x})", "P(y | do(x))", "experiments"),
        # Worlds in which a variable's causes agree are one (consistency and composition)
        (CHAIN, "P(Y=y, M_{X=x}=m | X=x)", "P(y | m) P(m | x)", "observation"),
        (CHAIN, "P(Y_{M_{X=1}} | X=0)", "sum_m P(y | m) P(m | x=1)", "observation"),
        (BACK_DOOR, "P(Y_{X=x}, X_{X=x}=x)", "sum_z P(y | x, z) P(z)", "observation"),
    ],
)
def test_known_formulas_with_their_verdict(
    graph: pc.CausalGraph, query: str, formula: str, verdict: str
) -> None:
    estimand = pc.identify(graph, query)
    assert (estimand.formula, estimand.verdict) == (formula, verdict)
    assert str(estimand).startswith(query.replace("1.0", "1"))


@pytest.mark.parametrize(
    ("graph", "query"),
    [
        (pc.CausalGraph(MEDIATION, bidirected=[("M", "Y")]), NESTED),
        (BOW, "P(Y_{X=x} | X=x')"),
        (BACK_DOOR, "P(Y_{X=0}=0 | X=1, Y=1)"),
        (BACK_DOOR, "P(Y_{X=1}=1 | X=0, Y=0)"),
        (BACK_DOOR, "P(Y_{X=1}=1, Y_{X=0}=0)"),
        (CHAIN, "P(Y_{X=1} | X=0, M=1)"),
    ],
)
def test_what_no_experiment_shows_is_refused_with_the_factor(
    graph: pc.CausalGraph, query: str
) -> None:
    with pytest.raises(pc.NotIdentified, match=r"nor from experiments.*factor P\(.*with two val"):
        pc.identify(graph, query)


def test_a_binary_cause_gives_the_effect_on_the_treated_from_one_experiment() -> None:
    estimand = pc.identify(BOW, "P(Y_{X=1} | X=0)", assumptions=["X is binary"])
    assert estimand.formula == "[P(y | do(x=1)) - P(x=1, y)] / P(x=0)"
    assert estimand.verdict == "experiments"
    joint = pc.identify(BOW, "P(Y_{X=1}, X=0)", assumptions=["X is binary", "Y is binary"])
    assert joint.formula == "P(y | do(x=1)) - P(x=1, y)"
    assert estimand.latex == (
        r"P(Y_{X=1} \mid X=0) = "
        r"\frac{P(y \mid \mathrm{do}(x=1)) - P(x=1, y)}{P(x=0)}"
    )


@pytest.mark.parametrize(
    ("query", "formula"),
    [
        ("P(Y_{X=1}=1, Y_{X=0}=0)", "P(y=1 | do(x=1)) - P(y=1 | do(x=0))"),
        ("P(Y_{X=0}=0, Y_{X=1}=1)", "P(y=1 | do(x=1)) - P(y=1 | do(x=0))"),
        ("P(Y_{X=0}=0 | X=1, Y=1)", "[P(y=1) - P(y=1 | do(x=0))] / P(x=1, y=1)"),
        ("P(Y_{X=1}=1 | Y=0, X=0)", "[P(y=1 | do(x=1)) - P(y=1)] / P(x=0, y=0)"),
        ("P(Y_{X=x'}=y' | X=x, Y=y)", "[P(y) - P(y | do(x'))] / P(x, y)"),
    ],
)
def test_the_probabilities_of_causation_under_monotonicity(query: str, formula: str) -> None:
    estimand = pc.identify(BOW, query, assumptions=["Y increases in X"])
    assert (estimand.formula, estimand.verdict) == (formula, "experiments")
    assert "Y increases in X" in estimand.derivation()


def test_monotone_probabilities_of_causation_reproduce_tian_and_pearl() -> None:
    # Their second table: P(x, y) = .30 .20 .10 .40, y_x = .6, y_x' = .2
    seen = {"X": [1, 1, 0, 0], "Y": [1, 0, 1, 0], "p": [0.3, 0.2, 0.1, 0.4]}
    trial = {"X": [1, 1, 0, 0], "Y": [1, 0, 1, 0], "p": [0.3, 0.2, 0.1, 0.4]}
    answers = [
        pc.identify(BOW, query, assumptions="Y increases in X")
        .evaluate({(): seen, "X": trial}, weights="p")
        .item()
        for query in (
            "P(Y_{X=1}=1, Y_{X=0}=0)",
            "P(Y_{X=0}=0 | X=1, Y=1)",
            "P(Y_{X=1}=1 | X=0, Y=0)",
        )
    ]
    np.testing.assert_allclose(answers, [0.4, 2 / 3, 0.5], atol=1e-12)


def test_contradicting_events_are_an_error() -> None:
    with pytest.raises(ValueError, match="contradict"):
        pc.identify(BACK_DOOR, "P(X_{X=1}=0)")
    with pytest.raises(ValueError, match="one follows from the others"):
        pc.identify(pc.CausalGraph([("X", "Y")]), "P(Y_{X=1} | X=1, Y=1)")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("P(Y_{X})", "the subscript X .* has no value"),
        ("P(Y_{X=1} | X)", "the condition X .* has no value"),
        ("P(Y_{X=1}", "can't read"),
        ("P(Y_{X=1} Z)", "can't read 'Z'"),
        ("P(Y_{Q=1})", "no variable 'Q'"),
    ],
)
def test_unreadable_counterfactuals_are_a_clear_error(query: str, message: str) -> None:
    with pytest.raises((ValueError, pc.UnknownVariable), match=message):
        pc.identify(BACK_DOOR, query)


def test_unreadable_assumptions_are_a_clear_error() -> None:
    with pytest.raises(ValueError, match="expected such as 'Y increases in X'"):
        pc.identify(BOW, "P(Y_{X=1})", assumptions=["all is well"])
    with pytest.raises(pc.UnknownVariable, match="no variable 'Q'"):
        pc.identify(BOW, "P(Y_{X=1})", assumptions=["Y increases in Q"])
    with pytest.raises(ValueError, match="'Y decreases in X'; expected one that increases"):
        pc.identify(BOW, "P(Y_{X=1})", assumptions=["Y decreases in X"])


def test_symbols_get_their_values_when_evaluated() -> None:
    estimand = pc.identify(BACK_DOOR, "P(Y_{X=x} | X=x')")
    model = DiscreteModel.random(BACK_DOOR, seed=0)
    answer = estimand.evaluate(states_of(model), values={"x": 1, "x'": 0}, weights="p")
    numbers = pc.identify(BACK_DOOR, "P(Y_{X=1} | X=0)").evaluate(states_of(model), weights="p")
    np.testing.assert_allclose(answer, numbers)
    with pytest.raises(ValueError, match=r"expected a value for each of \['x', \"x'\"\]"):
        estimand.evaluate(states_of(model), weights="p")


# Paths

DIAMOND = [("X", "W"), ("X", "Z"), ("W", "Y"), ("Z", "Y")]


def test_a_path_that_parts_at_the_action_is_identified() -> None:
    estimand = identify_along_paths(pc.CausalGraph(DIAMOND), "Y", "X", [("X", "W", "Y")])
    assert estimand.formula == "sum_{w,z} P(y | w, z) P(z | x') P(w | x)"
    model = DiscreteModel.random(pc.CausalGraph(DIAMOND), seed=0)
    (_, w), (_, z), (parents, y) = (model.tables[name] for name in "WZY")
    assert parents == ("W", "Z")
    answer = estimand.evaluate(states_of(model), values={"x": 1, "x'": 0}, weights="p")
    np.testing.assert_allclose(answer, np.einsum("w,z,wzy->y", w[1], z[0], y), atol=1e-12)


def test_a_recanting_district_or_witness_is_refused() -> None:
    joined = pc.CausalGraph(DIAMOND, bidirected=[("W", "Z")])
    with pytest.raises(pc.NotIdentified, match=r"\{W, Z\} is a recanting district"):
        identify_along_paths(joined, "Y", "X", [("X", "W", "Y")])
    kite = pc.CausalGraph([("X", "W"), ("W", "Z"), ("Z", "Y"), ("W", "Y")])
    with pytest.raises(pc.NotIdentified, match=r"\{W\} is a recanting witness"):
        identify_along_paths(kite, "Y", "X", [("X", "W", "Y")])
    with pytest.raises(ValueError, match="no directed path from X to Y; the graph has X -> W"):
        identify_along_paths(kite, "Y", "X", [("X", "Z", "Y")])


# Worlds enumerated

World = tuple[tuple[str, int], ...]


def chance(model: DiscreteModel, events: Sequence[tuple[str, World, int]]) -> float:
    """Return the probability of events in several worlds, by running all worlds together.

    Two worlds in which a variable's causes agree give it the same value, otherwise independent
    ones: one of the many couplings that share the model's experiments.
    """
    worlds = sorted({world for _, world, _ in events})
    states: dict[tuple[tuple[int, ...], ...], float] = {(): 1.0}
    names = list(model.tables)
    for name in names:
        parents, table = model.tables[name]
        grown: dict[tuple[tuple[int, ...], ...], float] = {}
        for state, p in states.items():
            causes = [
                None
                if name in dict(world)
                else tuple(state[names.index(parent)][i] for parent in parents)
                for i, world in enumerate(worlds)
            ]
            distinct = sorted({cause for cause in causes if cause is not None})
            for drawn in product(range(table.shape[-1]), repeat=len(distinct)):
                value = dict(zip(distinct, drawn, strict=True))
                row = tuple(
                    dict(world)[name] if cause is None else value[cause]
                    for world, cause in zip(worlds, causes, strict=True)
                )
                if any(
                    row[worlds.index(world)] != wanted
                    for variable, world, wanted in events
                    if variable == name
                ):
                    continue
                q = p * float(np.prod([table[(*c, v)] for c, v in value.items()]))
                grown[(*state, row)] = grown.get((*state, row), 0.0) + q
        states = grown
    return sum(states.values())


def text_of(events: Sequence[tuple[str, World, int]]) -> str:
    """Write events in the language of queries."""
    parts = []
    for variable, world, value in events:
        settings = ", ".join(f"{name}={number}" for name, number in world)
        parts.append(f"{variable}{f'_{{{settings}}}' if world else ''}={value}")
    return ", ".join(parts)


@pytest.mark.parametrize("seed", range(60))
def test_a_random_conjunction_equals_its_probability_over_all_worlds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = "ABCD"[: 3 + seed % 2]
    pairs = [(a, b) for a in names for b in names if a < b]
    graph = pc.CausalGraph(
        [pair for pair in pairs if rng.random() < 0.6],
        bidirected=[pair for pair in pairs if rng.random() < 0.25],
        nodes=names,
    )
    model = DiscreteModel.random(graph, seed)
    events = []
    for _ in range(2 + seed % 2):
        variable, *others = rng.permutation(list(names)).tolist()
        count = int(rng.integers(0, 2))
        world = tuple((name, int(rng.integers(2))) for name in sorted(others[:count]))
        events.append((variable, world, int(rng.integers(2))))
    given, asked = events[:1], events[1:]
    for query, numerator, denominator in (
        (f"P({text_of(events)})", events, []),
        (f"P({text_of(asked)} | {text_of(given)})", events, given),
    ):
        if "_{" not in query:
            continue
        below = chance(model, denominator) if denominator else 1.0
        truth = chance(model, numerator) / below if below else 0.0
        try:
            estimand = pc.identify(graph, query)
        except pc.NotIdentified:
            continue
        except ValueError:  # contradictions, and what follows from the conditions
            assert min(abs(truth), abs(truth - 1)) < 1e-12
            continue
        sources = {
            experiment: states_of(model, sorted(experiment))
            for experiment in map(experiment_of, probabilities_in(estimand.expression))
        }
        alone = set(sources) == {frozenset()}
        answer = estimand.evaluate(sources[frozenset()] if alone else sources, weights="p")
        assert answer.item() == pytest.approx(truth, abs=1e-9), f"{query} in {graph}: {estimand}"
