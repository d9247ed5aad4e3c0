"""Evidence and inputs from which no answer follows: the error says what is missing."""

from math import nan
from typing import Final

import pyro.distributions as dist
import pytest
import torch
from refusals import Case, check_refused
from small_programs import (
    CLINIC,
    COHORT,
    HIDDEN,
    KINDS,
    SHARED,
    THREE,
    TREAT,
    UNIT,
    UNUSUAL,
    clinic,
    cohort,
    unusual,
)

import pyrocausal as pc

INFERENCE: Final[dict[str, Case]] = {
    "evidence on a latent": (
        lambda: HIDDEN.counterfactual(UNIT, TREAT),
        ValueError,
        "'severity', which is latent: it is never observed.*latent=",
    ),
    "condition on a latent": (
        lambda: HIDDEN.condition(severity=1.0).sample(2),
        ValueError,
        "'severity', which is latent: it is never observed",
    ),
    "a way of inference that there isn't": (
        lambda: CLINIC.abduct({"recovery": THREE}, method="vi"),  # type: ignore[arg-type]
        ValueError,
        "method is 'vi'; expected one of auto, gaussian, enumeration, guide, importance, nuts",
    ),
    "a way of inference where nothing is missing": (
        lambda: CLINIC.abduct(UNIT, method="nuts"),
        ValueError,
        "method='nuts': nothing is missing above the evidence",
    ),
    "the closed form of what is not normal": (
        lambda: CLINIC.abduct({"recovery": [nan, 0.0, 1.0]}, method="gaussian"),
        ValueError,
        "can't infer 'severity', 'treated' for units 1, 2: gaussian: 'treated' is not normal",
    ),
    "enumeration of what is continuous": (
        lambda: CLINIC.abduct({"recovery": 1.0}, method="enumeration"),
        ValueError,
        "method='enumeration' can't infer .*'severity' is not discrete",
    ),
    "a missing variable of a new mechanism": (
        lambda: CLINIC.do(treated=dist.Bernoulli(0.5)).condition(recovery=1.0).sample(2),
        pc.IncompleteEvidence,
        "'treated' was given a new mechanism, and something below it was observed",
    ),
    "a deterministic site with unknown parents": (
        lambda: KINDS.counterfactual({"total": 1.0}, {"z": 1.0}),
        pc.NotAbducible,
        "'total'.*deterministic function of 'z', which is missing.*give 'z' as evidence",
    ),
    "a shared variable without posterior": (
        lambda: SHARED.counterfactual({"x": 1.0, "y": 1.0}, {"x": 2.0}),
        pc.IncompleteEvidence,
        r"'lin.weight' is shared by all units.*fit\(\)",
    ),
    "a family of the user's own below the action": (
        lambda: UNUSUAL.counterfactual({"x": 1.0, "y": 1.0, "w": 1.0}, {"x": 2.0}),
        pc.NotAbducible,
        r"'y' .*no structural equation is registered for Cubed.*noise\.register",
    ),
    "worlds of a family of the user's own": (
        lambda: UNUSUAL.do([{"x": 1.0}, {"x": 2.0}]).sample(3),
        pc.NotAbducible,
        "'y' .*Cubed",
    ),
    "exogenous noise of a family of the user's own": (
        lambda: pc.exogenous(unusual)(),
        pc.NotAbducible,
        "'y' .*Cubed",
    ),
    "a coupling that a family doesn't have": (
        lambda: pc.SCM(clinic, noise={"severity": "quantile"}).sample(2),
        ValueError,
        r"noise\['severity'\] is 'quantile', which Normal doesn't have. Leave it out",
    ),
    "no inputs": (
        lambda: pc.SCM(cohort).sample(3),
        ValueError,
        r"takes age. Pass inputs={'age': ...} \(units first\)",
    ),
    "no inputs, later": (
        lambda: [COHORT.sample(3, inputs={"age": THREE}), COHORT.sample(3)],
        ValueError,
        "takes age. Pass inputs={'age': ...}",
    ),
    "inputs of the wrong length": (
        lambda: COHORT.sample(3, inputs={"age": torch.zeros(4)}),
        ValueError,
        r"inputs\['age'\] has the shape \(4,\); expected the 3 units first",
    ),
    "inputs of another length than the evidence": (
        lambda: COHORT.counterfactual({"risk": THREE}, {"risk": 1.0}, inputs={"age": THREE[:2]}),
        ValueError,
        "differing numbers of units: .*'risk': 3.*2",
    ),
    "strings for inputs": (
        lambda: COHORT.sample(2, inputs={"age": ["old", "young"]}),
        TypeError,
        r"inputs\['age'\] holds words, such as 'old'",
    ),
    "an input of a program without": (
        lambda: CLINIC.sample(3, inputs={"age": THREE}),
        pc.UnknownVariable,
        "inputs: .*'age'",
    ),
}


@pytest.mark.parametrize("case", INFERENCE.values(), ids=INFERENCE)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    check_refused(case)
