"""Values of a wrong shape, that are no numbers, or that a site can't take: a clear error."""

from math import inf, nan
from typing import Final

import pandas as pd
import pyro.distributions as dist
import pytest
import torch
from refusals import Case, act, check_refused, imagine, suppose
from small_programs import CLINIC, COHORT, HIDDEN, KIND, KINDS, SHARED, THREE, TREAT, UNIT, UNITS

import pyrocausal as pc

SHAPES: Final[dict[str, Case]] = {
    "evidence with a dimension too many": (
        lambda: imagine(severity=torch.zeros(3, 2)),
        ValueError,
        r"evidence\['severity'\] has the shape \(3, 2\); expected \(units,\)",
    ),
    "evidence of a vector's wrong length": (
        lambda: suppose(vec=[0.0, 1.0, 2.0]),
        ValueError,
        r"evidence\['vec'\] has the shape \(3,\); expected \(1, 2\)",
    ),
    "evidence of differing lengths": (
        lambda: imagine(severity=torch.zeros(3), treated=torch.zeros(2)),
        ValueError,
        "evidence has differing numbers of units: .*'severity': 3, 'treated': 2.*one value for each",
    ),
    "evidence of another length than asked for": (
        lambda: CLINIC.condition(severity=torch.zeros(4)).sample(3),
        ValueError,
        "differing numbers of units: .*'severity': 4.*3",
    ),
    "a ragged list": (
        lambda: imagine(severity=[[1.0], [1.0, 2.0]]),
        ValueError,
        r"evidence\['severity'\] has rows of differing lengths",
    ),
    "no units": (
        lambda: imagine(severity=torch.zeros(0)),
        ValueError,
        r"evidence\['severity'\] is empty; expected at least one unit",
    ),
    "an empty table": (
        lambda: CLINIC.counterfactual(pd.DataFrame({"severity": []}), TREAT),
        ValueError,
        r"evidence\['severity'\] is empty",
    ),
    "no evidence": (
        lambda: CLINIC.counterfactual({}, TREAT),
        ValueError,
        r"evidence is empty.*do\(\.\.\.\)\.sample",
    ),
    "an intervention of the wrong length": (
        lambda: act(treated=torch.zeros(3)),
        ValueError,
        r"do\('treated'\) got a value of shape \(3,\).*\(5,\)",
    ),
    "an intervention with a dimension too many": (
        lambda: act(treated=torch.zeros(5, 2)),
        ValueError,
        r"do\('treated'\) got a value of shape \(5, 2\).*\(5,\)",
    ),
    "an intervention of a vector's wrong length": (
        lambda: act(KINDS, vec=torch.zeros(3)),
        ValueError,
        r"do\('vec'\) got a value of shape \(3,\).*\(5, 2\)",
    ),
    "a shift of the wrong length": (
        lambda: act(severity=pc.shift(torch.zeros(3))),
        ValueError,
        r"do\('severity'\) got a value of shape \(3,\)",
    ),
    "an edit that changes the shape": (
        lambda: act(severity=pc.edit(lambda x: x[:3])),
        ValueError,
        r"do\('severity'\) got a value of shape \(3,\)",
    ),
    "a policy of the wrong length": (
        lambda: act(treated=pc.policy(lambda values: torch.zeros(3))),
        ValueError,
        r"do\('treated'\) got a value of shape \(3,\)",
    ),
    "a distribution of the wrong event shape": (
        lambda: act(severity=dist.MultivariateNormal(torch.zeros(2), torch.eye(2))),
        ValueError,
        r"do\('severity'\): the distribution .*event shape \(2,\); expected .*\(\)",
    ),
    "a scalar distribution for a vector": (
        lambda: act(KINDS, vec=dist.Normal(0.0, 1.0)),
        ValueError,
        r"do\('vec'\): the distribution .*event shape \(\); expected .*\(2,\)",
    ),
    "a mechanism of the wrong batch shape": (
        lambda: act(treated=pc.mechanism(lambda values: dist.Bernoulli(torch.ones(4)))),
        ValueError,
        r"do\('treated'\): the distribution has batch shape \(4,\).*expected \(5,\)",
    ),
    "a shared variable with a value for each unit": (
        lambda: SHARED.log_prob(
            {"x": THREE, "y": THREE, "lin.weight": torch.zeros(3, 1, 1), "lin.bias": [0.0]}
        ),
        ValueError,
        r"data\['lin.weight'\] has the shape \(3, 1, 1\); expected \(1, 1\)",
    ),
    "a shared variable that differs between worlds": (
        lambda: SHARED.do([{"lin.bias": [0.0]}, {"lin.bias": [1.0]}]).sample(3),
        ValueError,
        r"do\('lin.bias'\): all units share this variable.*one world at a time",
    ),
}

NUMBERS: Final[dict[str, Case]] = {
    "do NaN": (lambda: act(treated=nan), ValueError, r"do\('treated'\) got NaN or infinite"),
    "do NaN in a counterfactual": (
        lambda: imagine(do={"severity": nan}),
        ValueError,
        r"do\('severity'\) got NaN or infinite.*expected finite",
    ),
    "do an infinity in a tensor": (
        lambda: act(severity=torch.tensor([0.0, inf, 1.0, 2.0, 3.0])),
        ValueError,
        r"do\('severity'\) got NaN or infinite",
    ),
    "shift by NaN": (
        lambda: act(severity=pc.shift(nan)),
        ValueError,
        r"do\('severity'\) got NaN or infinite",
    ),
    "an edit that gives NaN": (
        lambda: act(severity=pc.edit(lambda x: torch.log(-x.abs()))),
        ValueError,
        r"do\('severity'\) got NaN or infinite.*function",
    ),
    "an edit that gives an infinity": (
        lambda: act(severity=pc.edit(lambda x: x / 0)),
        ValueError,
        r"do\('severity'\) got NaN or infinite.*function",
    ),
    "a policy that gives NaN": (
        lambda: act(treated=pc.policy(lambda values: values["severity"] * nan)),
        ValueError,
        r"do\('treated'\) got NaN or infinite.*function",
    ),
    "a mechanism that gives NaN": (
        lambda: act(recovery=pc.mechanism(lambda values: dist.Normal(values["treated"] * nan, 1))),
        ValueError,
        r"do\('recovery'\) made NaN or infinite.*function",
    ),
    "an edge at NaN": (
        lambda: CLINIC.do(pc.edge("treated", "recovery", nan)).sample(3),
        ValueError,
        r"'treated'.* got NaN or infinite",
    ),
    "infinite evidence": (
        lambda: imagine(recovery=inf),
        ValueError,
        r"evidence\['recovery'\] holds an infinity.*NaN for missing",
    ),
    "a partly missing vector": (
        lambda: suppose(vec=[0.0, nan]),
        ValueError,
        r"evidence\['vec'\] is missing in part of a vector.*all its entries",
    ),
    "NaN in an input": (
        lambda: COHORT.sample(3, inputs={"age": [0.0, nan, 1.0]}),
        ValueError,
        r"inputs\['age'\] is NaN for unit 1",
    ),
    "log_prob with a missing value": (
        lambda: CLINIC.log_prob({**UNITS, "severity": [0.0, nan, 1.0]}),
        ValueError,
        r"log_prob\(\) needs every value; data\['severity'\] has 1 missing",
    ),
    "log_prob with a missing column": (
        lambda: CLINIC.log_prob({"severity": THREE}),
        ValueError,
        r"log_prob\(\) needs every variable.*lack treated, recovery",
    ),
    "log_prob without the latent": (
        lambda: HIDDEN.log_prob({"treated": THREE, "recovery": THREE}),
        ValueError,
        r"log_prob\(\) needs every variable, latent ones too.*severity",
    ),
}

SUPPORTS: Final[dict[str, Case]] = {
    "2.5 for a Bernoulli": (
        lambda: imagine(treated=2.5),
        ValueError,
        r"evidence\['treated'\] is impossible for unit 0: Bernoulli gives 2.5 .*zero",
    ),
    "2.5 for a Bernoulli after condition": (
        lambda: CLINIC.condition(severity=0.0, treated=2.5).sample(2),
        ValueError,
        r"evidence\['treated'\] is impossible for units 0, 1: Bernoulli gives 2.5",
    ),
    "7 for five classes": (
        lambda: suppose(stage=7),
        ValueError,
        r"evidence\['stage'\] is impossible for unit 0: Categorical gives 7 .*upper_bound=4",
    ),
    "a part of a class": (
        lambda: suppose(stage=2.5),
        ValueError,
        r"evidence\['stage'\] holds 2.5, but the site takes whole numbers",
    ),
    "a negative count": (
        lambda: suppose(visits=-1),
        ValueError,
        r"evidence\['visits'\] is impossible .*Poisson gives -1",
    ),
    "a part of a count": (
        lambda: suppose(visits=1.5),
        ValueError,
        r"evidence\['visits'\] is impossible .*Poisson gives 1.5",
    ),
    "a negative dose": (
        lambda: suppose(dose=-1.0),
        ValueError,
        r"evidence\['dose'\] is impossible .*Gamma gives -1",
    ),
    "two hot": (
        lambda: suppose(one=[1.0, 1.0, 0.0]),
        ValueError,
        r"evidence\['one'\] is impossible .*OneHotCategorical gives it .*zero",
    ),
    "what has probability zero": (
        lambda: suppose(never=1.0),
        ValueError,
        r"evidence\['never'\] is impossible .*Bernoulli gives 1 .*zero",
    ),
    "a deterministic site that contradicts": (
        lambda: suppose(total=9.0),
        ValueError,
        r"evidence\['total'\] is impossible for unit 0: its causes give it another value",
    ),
    "evidence against an intervention": (
        lambda: CLINIC.do(treated=1.0).condition(severity=0.0, treated=0.0).sample(2),
        ValueError,
        r"evidence\['treated'\] is impossible .*an intervention sets it",
    ),
    "do half to a Bernoulli": (
        lambda: act(treated=0.5),
        ValueError,
        r"do\('treated'\) got 0.5, which Bernoulli can't take.*Boolean",
    ),
    "do 7 to five classes": (
        lambda: act(KINDS, stage=7),
        ValueError,
        r"do\('stage'\) got 7, which Categorical can't take.*upper_bound=4",
    ),
    "do a part of a class": (
        lambda: act(KINDS, stage=2.5),
        ValueError,
        r"do\('stage'\) holds 2.5, but the site takes whole numbers",
    ),
    "shift beyond the classes": (
        lambda: act(KINDS, stage=pc.shift(5)),
        ValueError,
        r"do\('stage'\) got \d, which Categorical can't take",
    ),
    "do a negative count": (
        lambda: act(KINDS, visits=-1),
        ValueError,
        r"do\('visits'\) got -1, which Poisson can't take",
    ),
    "a normal in the place of classes": (
        lambda: act(KINDS, stage=dist.Normal(0.0, 1.0)),
        ValueError,
        r"do\('stage'\) holds -?\d.*whole numbers",
    ),
    "half of a Bernoulli along an edge": (
        lambda: CLINIC.do(pc.edge("treated", "recovery", 0.5)).sample(3),
        ValueError,
        r"edge\('treated', 'recovery'\) got 0.5, which Bernoulli can't take",
    ),
    "log_prob of 7 for five classes": (
        lambda: KINDS.log_prob({**KIND, "stage": 7}),
        ValueError,
        r"data\['stage'\] got 7, which Categorical can't take",
    ),
    "log_prob of 2.5 for a Bernoulli": (
        lambda: CLINIC.log_prob({**UNIT, "treated": 2.5}),
        ValueError,
        r"data\['treated'\] got 2.5, which Bernoulli can't take",
    ),
}


CASES: Final = {**SHAPES, **NUMBERS, **SUPPORTS}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    check_refused(case)


def test_no_two_cases_share_a_name() -> None:
    assert len(CASES) == sum(map(len, (SHAPES, NUMBERS, SUPPORTS)))
