"""Objects of a wrong type: the error says what was got, and what is expected."""

from typing import Final

import pandas as pd
import pyro.distributions as dist
import pytest
import torch
from refusals import Case, act, check_refused, frame, imagine
from small_programs import CLINIC, COHORT, THREE, TREAT, UNIT, UNITS, Weights, clinic

import pyrocausal as pc

TYPES: Final[dict[str, Case]] = {
    "a string": (
        lambda: imagine(severity="high"),
        TypeError,
        r"evidence\['severity'\] holds words, such as 'high'; expected numbers. Code them 0, 1, 2",
    ),
    "strings": (
        lambda: imagine(severity=["low", "high"]),
        TypeError,
        r"evidence\['severity'\] holds words, such as 'low'; expected numbers",
    ),
    "strings in a table": (
        lambda: CLINIC.counterfactual(frame(severity=["low", "high"]), TREAT),
        TypeError,
        r"evidence\['severity'\] holds words, such as 'low'.*Code them 0, 1, 2",
    ),
    "numbers as strings in a table": (
        lambda: CLINIC.counterfactual(frame(severity=["1.5", "2.5"]), TREAT),
        TypeError,
        r"evidence\['severity'\] holds words, such as '1.5'",
    ),
    "dates in a table": (
        lambda: CLINIC.counterfactual(
            frame(severity=pd.to_datetime(["2020-01-01", "2020-01-02"])), TREAT
        ),
        TypeError,
        r"evidence\['severity'\] holds '2020-01-01.*datetime64; expected numbers",
    ),
    "two columns of one name": (
        lambda: CLINIC.counterfactual(
            pd.DataFrame([[0.0, 1.0]], columns=["severity", "severity"]), TREAT
        ),
        ValueError,
        "evidence has two columns called 'severity'",
    ),
    "None": (lambda: imagine(severity=None), TypeError, r"evidence\['severity'\] is None"),
    "an object": (
        lambda: imagine(severity=object()),
        TypeError,
        r"evidence\['severity'\] holds .*of type object; expected numbers",
    ),
    "a complex number": (
        lambda: imagine(severity=1j),
        TypeError,
        r"evidence\['severity'\] holds '1j' of type complex",
    ),
    "a complex tensor": (
        lambda: imagine(severity=torch.tensor(1j)),
        TypeError,
        r"evidence\['severity'\] is complex; expected real numbers",
    ),
    "evidence that is a list": (
        lambda: CLINIC.counterfactual([1.0, 2.0], TREAT),
        TypeError,
        "evidence is a list; expected a mapping from variable to values, or a DataFrame",
    ),
    "evidence that is a tensor": (
        lambda: CLINIC.abduct(THREE),
        TypeError,
        "evidence is a Tensor; expected a mapping",
    ),
    "evidence that is None": (
        lambda: CLINIC.counterfactual(None, TREAT),
        TypeError,
        r"counterfactual\(\) got no evidence=; expected what was seen.*do\(...\).sample\(n\)",
    ),
    "a counterfactual without evidence": (
        lambda: CLINIC.counterfactual(do=TREAT),
        TypeError,
        r"counterfactual\(\) got no evidence=; expected what was seen",
    ),
    "a counterfactual without an action": (
        lambda: CLINIC.counterfactual({"severity": 0.0}),
        TypeError,
        r"counterfactual\(\) got no do=; expected.*abduct\(evidence\)",
    ),
    "condition on a number": (
        lambda: CLINIC.condition(3.0),
        TypeError,
        "evidence is a float; expected a mapping",
    ),
    "condition on a name": (
        lambda: CLINIC.condition("severity"),
        TypeError,
        "evidence is a str; expected a mapping",
    ),
    "plan of a number": (
        lambda: CLINIC.plan(3),
        TypeError,
        r"plan\(\) takes names or evidence; got int",
    ),
    "do a string": (
        lambda: CLINIC.do(treated="yes"),
        TypeError,
        r"do\('treated'\) holds words, such as 'yes'; expected numbers. Code them 0, 1, 2",
    ),
    "do None": (lambda: CLINIC.do(treated=None), TypeError, r"do\('treated'=None\): expected a"),
    "do an object": (
        lambda: act(treated=object()),
        TypeError,
        r"do\('treated'\) holds .*of type object",
    ),
    "do a complex number": (
        lambda: act(treated=1j),
        TypeError,
        r"do\('treated'\) holds '1j' of type complex",
    ),
    "shift by a string": (
        lambda: pc.shift("a bit"),
        TypeError,
        r"shift\(\) got 'a bit'; expected a number",
    ),
    "a policy that returns nothing": (
        lambda: act(treated=pc.policy(lambda values: None)),
        TypeError,
        r"do\('treated'\) got None.*function returns",
    ),
    "a mechanism that returns values": (
        lambda: act(recovery=pc.mechanism(lambda values: values["severity"])),
        TypeError,
        r"do\('recovery'\): the mechanism returned Tensor; expected a distribution.*policy",
    ),
    "a mechanism that returns nothing": (
        lambda: act(recovery=pc.mechanism(lambda values: None)),
        TypeError,
        r"do\('recovery'\): the mechanism returned NoneType; expected a distribution",
    ),
    "a bare function": (
        lambda: CLINIC.do(treated=lambda values: 1.0),
        TypeError,
        r"do\('treated'=...\) got a function.*pc\.edit\(f\).*pc\.policy\(f\).*pc\.mechanism\(f\)",
    ),
    "an edit that is no function": (lambda: pc.edit(3), TypeError, r"edit\(\) takes a function"),  # type: ignore[arg-type]
    "a policy that is no function": (
        lambda: pc.policy(3),  # type: ignore[arg-type]
        TypeError,
        r"policy\(\) takes a function; got int",
    ),
    "a distribution for a mechanism": (
        lambda: pc.mechanism(dist.Normal(0.0, 1.0)),
        TypeError,
        r"mechanism\(\) takes a function; got the distribution Normal.*do\(x=distribution\)",
    ),
    "a tensor of inputs": (
        lambda: COHORT.sample(3, inputs=THREE),  # type: ignore[arg-type]
        TypeError,
        "inputs is a Tensor; expected a mapping",
    ),
    "a program that can't be called": (
        lambda: pc.SCM(3),  # type: ignore[arg-type]
        TypeError,
        r"SCM\(\) takes a program, a callable; got int",
    ),
    "a class for a program": (
        lambda: pc.SCM(Weights),
        TypeError,
        r"SCM\(\) got the class Weights.*instance",
    ),
    "an unknown coupling": (
        lambda: pc.SCM(clinic, noise={"treated": "gumbelmax"}),
        ValueError,
        r"noise\['treated'\] is 'gumbelmax'; expected one of gumbel-max, quantile",
    ),
    "a coupling for no variable": (
        lambda: pc.SCM(clinic, noise="quantile"),  # type: ignore[arg-type]
        TypeError,
        "noise='quantile': expected a mapping from variable to coupling",
    ),
    "another SCM's abduction": (
        lambda: CLINIC.counterfactual(UNITS, TREAT, abduction=CLINIC.abduct(UNIT)),
        ValueError,
        "abduction is of other evidence",
    ),
    "an abduction with other draws": (
        lambda: CLINIC.counterfactual(UNIT, TREAT, abduction=CLINIC.abduct(UNIT, num_draws=3)),
        ValueError,
        "abduction has 3 draws.*num_draws=3",
    ),
    "no abduction": (
        lambda: CLINIC.counterfactual(UNIT, TREAT, abduction="yesterday's"),  # type: ignore[arg-type]
        TypeError,
        r"abduction is a str; expected what SCM\.abduct\(\) returned",
    ),
}


@pytest.mark.parametrize("case", TYPES.values(), ids=TYPES)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    check_refused(case)
