"""Interventions that make no sense, or not in that order: the error says what to do."""

from typing import Final

import pytest
import torch
from refusals import Case, act, check_refused, imagine
from small_programs import CHAIN, CLINIC, COHORT, THREE, TREAT, UNIT

import pyrocausal as pc

INTERVENTIONS: Final[dict[str, Case]] = {
    "do nothing": (lambda: CLINIC.do(), ValueError, r"do\(\) got no intervention.*such as do"),
    "imagine nothing": (lambda: imagine(do=None), TypeError, r"counterfactual\(\) got no do="),
    "no worlds": (lambda: CLINIC.do([]), ValueError, "empty list of worlds.*at least one"),
    "no worlds to imagine": (lambda: imagine(do=[]), ValueError, "empty list of worlds"),
    "a list in a list of worlds": (
        lambda: CLINIC.do([[{"treated": 1.0}]]),
        TypeError,
        "list in a list of worlds",
    ),
    "worlds on worlds": (
        lambda: CLINIC.do([TREAT, {"treated": 0.0}]).do([{"severity": 1.0}]),
        ValueError,
        r"list of worlds, but this SCM already has one.*product=True",
    ),
    "a grid on worlds": (
        lambda: CLINIC.do([TREAT]).do(severity=pc.grid([0.0, 1.0])),
        ValueError,
        "list of worlds, but this SCM already has one",
    ),
    "keywords beside worlds": (
        lambda: CLINIC.do([TREAT], severity=1.0),
        ValueError,
        "list of worlds and keywords. Put the keywords into each world",
    ),
    "grids of different lengths": (
        lambda: CLINIC.do(treated=pc.grid([0.0, 1.0]), severity=pc.grid([0.0, 1.0, 2.0])),
        ValueError,
        r"Grids of lengths \[2, 3\].*product=True",
    ),
    "an empty grid": (lambda: pc.grid([]), ValueError, r"grid\(\) got no values.*at least one"),
    "a grid of one number": (
        lambda: pc.grid(3.0),  # type: ignore[arg-type]
        TypeError,
        r"grid\(\) got 3.0; expected a list or tensor",
    ),
    "a grid of a scalar tensor": (
        lambda: pc.grid(torch.tensor(3.0)),
        TypeError,
        r"grid\(\) got tensor\(3.\); expected a list or tensor",
    ),
    "a grid in a grid": (
        lambda: CLINIC.do(treated=pc.grid([pc.grid([0.0, 1.0])])),
        TypeError,
        r"do\('treated'=grid\(...\)\) holds a grid in a grid",
    ),
    "a positional name": (
        lambda: CLINIC.do("treated"),
        TypeError,
        r"do\(\) got str; it takes a mapping from variable to value",
    ),
    "a positional number": (
        lambda: CLINIC.do(1.0),
        TypeError,
        r"do\(\) got float; it takes a map",
    ),
    "a positional set": (lambda: CLINIC.do({"treated"}), TypeError, r"do\(\) got set; it takes a"),
    "a shift of nothing": (
        lambda: CLINIC.do(pc.shift(1.0)),
        TypeError,
        r"do\(\) got Shift; it takes a mapping",
    ),
    "a key that is no name": (
        lambda: CLINIC.do({3: 1.0}),
        TypeError,
        r"do\(\) got the key 3; keys are names of variables",
    ),
    "condition, then do": (
        lambda: CLINIC.condition(severity=1.0).do(TREAT),
        ValueError,
        r"ambiguous.*counterfactual\(evidence=..., do=...\).*do\(...\)\.condition\(...\)",
    ),
    "condition, then counterfactual": (
        lambda: CLINIC.condition(severity=1.0).counterfactual(UNIT, TREAT),
        ValueError,
        r"already holds evidence.*counterfactual\(evidence=...\)",
    ),
    "condition, then log_prob": (
        lambda: CLINIC.condition(severity=1.0).log_prob(UNIT),
        ValueError,
        r"log_prob\(\).*holds evidence.*without condition",
    ),
    "condition, then abduct with the same variable": (
        lambda: CLINIC.condition(severity=1.0).abduct(UNIT),
        ValueError,
        r"'severity' is in the evidence and in condition\(...\)",
    ),
    "condition on nothing": (
        lambda: CLINIC.condition(),
        ValueError,
        r"condition\(\) got no evidence.*such as x=1.0",
    ),
    "counterfactual under worlds": (
        lambda: CLINIC.do([TREAT, {"treated": 0.0}]).counterfactual(UNIT, TREAT),
        ValueError,
        r"list of worlds; evidence is read in one world.*each do\(...\) alone",
    ),
    "log_prob under worlds": (
        lambda: CLINIC.do([TREAT]).log_prob(UNIT),
        ValueError,
        r"log_prob\(\) takes an SCM with one world",
    ),
    "log_prob under an edge": (
        lambda: CLINIC.do(pc.edge("treated", "recovery", 1.0)).log_prob(UNIT),
        ValueError,
        r"log_prob\(\) under shift, edit, policy or edge is not defined",
    ),
    "a policy that reads a descendant": (
        lambda: act(treated=pc.policy(lambda values: values["recovery"])),
        ValueError,
        "rule for 'treated' reads 'recovery', which the program runs after .*may read: severity",
    ),
    "a policy that reads itself": (
        lambda: act(treated=pc.policy(lambda values: values["treated"])),
        ValueError,
        "rule for 'treated' reads 'treated'.*may read: severity",
    ),
    "an edge that isn't there": (
        lambda: CHAIN.do(pc.edge("x", "y", 1.0)),
        ValueError,
        "no edge x -> y. Paths between them: x -> m -> y",
    ),
    "an edge against the arrow": (
        lambda: CLINIC.do(pc.edge("recovery", "treated", 1.0)),
        ValueError,
        "no edge recovery -> treated. No path",
    ),
    "an edge as a value": (
        lambda: CLINIC.do(treated=pc.edge("treated", "recovery", 1.0)),
        TypeError,
        r"do\('treated'=edge\(...\)\): an edge names its own target",
    ),
    "a function along an edge": (
        lambda: CLINIC.do(pc.edge("treated", "recovery", lambda x: x)),
        TypeError,
        r"edge\('treated', 'recovery', ...\) got function; expected a number",
    ),
    "a shift along an edge": (
        lambda: CLINIC.do(pc.edge("treated", "recovery", pc.shift(1.0))),
        TypeError,
        r"edge\('treated', 'recovery', ...\) got Shift; expected a number",
    ),
    "do on an input": (
        lambda: COHORT.do(age=1.0).sample(3, inputs={"age": THREE}),
        ValueError,
        r"do\('age'\): it is an input.*Pass other inputs",
    ),
    "evidence on an input": (
        lambda: COHORT.counterfactual({"age": THREE}, {"risk": 1.0}, inputs={"age": THREE}),
        ValueError,
        r"evidence\['age'\]: it is an input.*inputs={'age'",
    ),
}


@pytest.mark.parametrize("case", INTERVENTIONS.values(), ids=INTERVENTIONS)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    check_refused(case)
