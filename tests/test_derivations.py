"""Derivations step by step, each with its rule, and queries and formulas in LaTeX."""

import pytest
from written_graphs import graph_of

import pyrocausal as pc
from pyrocausal.identification import identify_along_paths

NAPKIN = graph_of("W>Z Z>X X>Y", "W-X W-Y")
BOW = graph_of("X>Y", "X-Y")
MEDIATION = graph_of("Z>X Z>M Z>Y X>M X>Y M>Y")
DIAMOND = graph_of("X>W X>Z W>Y Z>Y")


def test_rules_of_the_do_calculus_come_before_a_named_form() -> None:
    steps = pc.identify(graph_of("X>M M>Y", "X-Y"), "Y", do="X", given="M").derivation()
    assert steps.splitlines() == [
        "1. rule 2 of the do-calculus (IDC): P(y | do(x, m))",
        "2. rule 3 of the do-calculus: P(y | do(m))",
        "3. adjustment: {X} meets the adjustment criterion, and no smaller set does",
        "4. therefore: sum_x' P(y | x', m) P(x')",
    ]


def test_each_c_factor_on_the_way_is_told() -> None:
    joint, part = "sum_w P(x, y | w, z) P(w)", "sum_w P(x | w, z) P(w)"
    assert pc.identify(NAPKIN, "Y", do="X").derivation().splitlines() == [
        "1. c-components (ID line 4): Q[y]",
        "2. c-factor of a c-component (ID line 6): Q[x, w, y] = P(x, y | w, z) P(w)",
        f"3. c-factor of its ancestral part (ID line 2): Q[x, y] = {joint}",
        f"4. c-factor of a c-component of that (ID line 7): Q[y] = [{joint}] / [{part}]",
        f"5. therefore: [{joint}] / [{part}]",
    ]


def test_a_conditional_of_c_factors_ends_with_its_definition() -> None:
    graph = graph_of("W>Z Z>X X>Y Y>V", "W-X W-Y")
    steps = pc.identify(graph, "Y", do="X", given="V").derivation()
    assert "ancestors (ID line 2)" not in steps
    assert "definition of a conditional: the joint over its sum" in steps


def test_the_derivation_of_a_nested_counterfactual_names_each_source() -> None:
    steps = pc.identify(MEDIATION, "P(Y_{X=x, M_{X=x'}})").derivation()
    assert steps.splitlines() == [
        "1. unnesting: a nested value is summed over: the sum over m of "
        "P(M_{X=x'}=m, Y_{M=m, X=x}=y)",
        "2. counterfactual factors, each of a c-component: "
        "P(Z=z) P(M_{X=x', Z=z}=m) P(Y_{M=m, X=x, Z=z}=y)",
        "3. observation gives it (ID): P(Y_{M=m, X=x, Z=z}=y) = P(y | x, m, z)",
        "4. observation gives it (ID): P(M_{X=x', Z=z}=m) = P(m | x', z)",
        "5. observation gives it (ID): P(Z=z) = P(z)",
        "6. therefore: sum_{z,m} P(y | x, m, z) P(m | x', z) P(z)",
    ]


def test_a_way_that_came_to_nothing_is_no_part_of_a_derivation() -> None:
    steps = pc.identify(BOW, "P(Y_{X=1} | X=0)", assumptions=["X is binary"]).derivation()
    assert steps.splitlines()[:2] == [
        "1. X is binary: P(A, X=0) = P(A) - P(A, X=1)",
        "2. an experiment gives it: P(Y_{X=1}) = P(y | do(x=1))",
    ]
    assert "X=0}" not in steps


def test_probabilities_of_causation_tell_their_formula_and_their_experiments() -> None:
    steps = pc.identify(BOW, "P(Y_{X=1}=1, Y_{X=0}=0)", assumptions=["Y increases in X"])
    assert steps.derivation().splitlines() == [
        "1. Y increases in X: necessity and sufficiency: P(y_x, y'_x') = P(y_x) - P(y_x')",
        "2. an experiment gives it: P(Y_{X=1}=1) = P(y=1 | do(x=1))",
        "3. an experiment gives it: P(Y_{X=0}=1) = P(y=1 | do(x=0))",
        "4. therefore: P(y=1 | do(x=1)) - P(y=1 | do(x=0))",
    ]


def test_districts_tell_which_value_of_the_action_they_feel() -> None:
    estimand = identify_along_paths(DIAMOND, "Y", "X", [("X", "W", "Y")])
    rule = "a district that feels one value of the action"
    assert estimand.derivation().splitlines()[:3] == [
        f"1. {rule}: Q[w] = P(w | x)",
        f"2. {rule}: Q[z] = P(z | x')",
        f"3. {rule}: Q[y] = P(y | w, z)",
    ]
    assert estimand.latex == (
        r"P(Y \mid \mathrm{do}(X=x \text{ along } X \to W \to Y; x' \text{ elsewhere})) = "
        r"\sum_{w, z} P(y \mid w, z) P(z \mid x') P(w \mid x)"
    )


def test_formulas_of_chosen_sets_name_their_criterion() -> None:
    back, front = graph_of("Z>X Z>Y X>Y"), graph_of("X>M M>Y", "X-Y")
    adjusted = pc.adjustment_sets(back, "Y", do="X").estimand("Z")
    mediated = pc.frontdoor_sets(front, "Y", do="X").estimand("M")
    assert "1. adjustment: {Z} meets the adjustment criterion" in adjusted.derivation()
    assert "1. front door: {M} meets the front-door criterion" in mediated.derivation()


@pytest.mark.parametrize("given", [[], ["X"]])
def test_without_an_action_observation_says_all(given: list[str]) -> None:
    estimand = pc.identify(BOW, "Y", given=given)
    assert estimand.formula == ("P(y | x)" if given else "P(y)")
    assert "1. observation: no action is asked about" in estimand.derivation()


def test_latex_has_sums_bars_and_fractions() -> None:
    assert pc.identify(NAPKIN, "Y", do="X").latex == (
        r"P(y \mid \mathrm{do}(x)) = \frac{\sum_{w} P(x, y \mid w, z) P(w)}"
        r"{\sum_{w} P(x \mid w, z) P(w)}"
    )
    words = pc.CausalGraph([("age_1", "drug"), ("age_1", "X1"), ("drug", "X1")])
    assert pc.identify(words, "X1", do="drug").latex == (
        r"P(x_{1} \mid \mathrm{do}(\mathit{drug})) = \sum_{\mathit{age\_1}} "
        r"P(x_{1} \mid \mathit{drug}, \mathit{age\_1}) P(\mathit{age\_1})"
    )


def test_latex_of_a_counterfactual_spells_words_and_numbered_letters() -> None:
    words = pc.CausalGraph([("drug_1", "mood"), ("drug_1", "Y1"), ("mood", "Y1")])
    query = "P(Y1_{drug_1=1, mood_{drug_1=0.5}}=2 | drug_1=low)"
    assert pc.identify(words, query).latex == (
        r"P({Y_{1}}_{\mathit{drug\_1}=1, \mathit{mood}_{\mathit{drug\_1}=0.5}}=2 \mid "
        r"\mathit{drug\_1}=\mathit{low}) = \sum_{\mathit{mood}} "
        r"P(y_{1}=2 \mid \mathit{drug\_1}=1, \mathit{mood}) "
        r"P(\mathit{mood} \mid \mathit{drug\_1}=0.5)"
    )
