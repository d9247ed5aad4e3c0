"""Names that no variable has: the error says which it was, and which are near."""

from typing import Final

import pytest
from refusals import Case, act, check_refused, frame, imagine
from small_programs import CLINIC, COHORT, THREE, TREAT, UNIT, clinic, cohort

import pyrocausal as pc

NAMES: Final[dict[str, Case]] = {
    "misspelt in do": (
        lambda: CLINIC.do(treeted=1.0),
        pc.UnknownVariable,
        "do: .*'treeted'. Did you mean 'treated'",
    ),
    "misspelt in the do of a counterfactual": (
        lambda: imagine(do={"treatd": 1.0}),
        pc.UnknownVariable,
        "do: .*'treatd'. Did you mean 'treated'",
    ),
    "misspelt in condition": (
        lambda: CLINIC.condition(severty=1.0),
        pc.UnknownVariable,
        "condition: .*'severty'. Did you mean 'severity'",
    ),
    "misspelt in evidence": (
        lambda: imagine(severty=1.0),
        pc.UnknownVariable,
        "evidence: .*'severty'. Did you mean 'severity'.*Variables: recovery, severity, treated",
    ),
    "misspelt in data": (
        lambda: CLINIC.log_prob({**UNIT, "recvery": 0.0}),
        pc.UnknownVariable,
        "data: .*'recvery'. Did you mean 'recovery'",
    ),
    "misspelt in variables of sample": (
        lambda: CLINIC.sample(3, variables=["recvery"]),
        pc.UnknownVariable,
        "variables: .*'recvery'. Did you mean 'recovery'",
    ),
    "misspelt in variables of a counterfactual": (
        lambda: CLINIC.counterfactual(UNIT, TREAT, variables="recvery"),
        pc.UnknownVariable,
        "variables: .*'recvery'. Did you mean 'recovery'",
    ),
    "misspelt in plan": (
        lambda: CLINIC.plan(["sevrity"]),
        pc.UnknownVariable,
        "plan: .*'sevrity'. Did you mean 'severity'",
    ),
    "misspelt source of an edge": (
        lambda: CLINIC.do(pc.edge("treeted", "recovery", 1.0)),
        pc.UnknownVariable,
        "edge: .*'treeted'. Did you mean 'treated'",
    ),
    "misspelt target of an edge": (
        lambda: CLINIC.do(pc.edge("treated", "recvery", 1.0)),
        pc.UnknownVariable,
        "edge: .*'recvery'. Did you mean 'recovery'",
    ),
    "misspelt latent": (
        lambda: pc.SCM(clinic, latent=["severty"]).sample(2),
        pc.UnknownVariable,
        "latent: .*'severty'. Did you mean 'severity'",
    ),
    "misspelt in noise": (
        lambda: pc.SCM(clinic, noise={"treted": "quantile"}).sample(2),
        pc.UnknownVariable,
        "noise: .*'treted'. Did you mean 'treated'",
    ),
    "misspelt in an answer": (
        lambda: CLINIC.sample(3)["recovry"],
        pc.UnknownVariable,
        "answer: .*'recovry'. Did you mean 'recovery'",
    ),
    "misspelt in inputs": (
        lambda: COHORT.sample(3, inputs={"agee": THREE}),
        pc.UnknownVariable,
        "inputs: .*'agee'. Did you mean 'age'",
    ),
    "misspelt in do before the inputs are known": (
        lambda: pc.SCM(cohort).do(rsik=1.0).abduct({"risk": THREE}, inputs={"age": THREE}),
        pc.UnknownVariable,
        "do: .*'rsik'. Did you mean 'risk'",
    ),
    "misspelt in a policy": (
        lambda: act(treated=pc.policy(lambda values: values["severty"])),
        pc.UnknownVariable,
        "rule for 'treated'.*'severty'. Did you mean 'severity'",
    ),
    "a number for a name": (
        lambda: CLINIC.counterfactual({3: 1.0}, TREAT),
        pc.UnknownVariable,
        "evidence: there is no variable 3",
    ),
    "a column that is no variable": (
        lambda: CLINIC.counterfactual(frame(patient=[1, 2]), TREAT),
        pc.UnknownVariable,
        "evidence: .*'patient'",
    ),
    "variables that are no names": (
        lambda: CLINIC.sample(3, variables=3),  # type: ignore[arg-type]
        TypeError,
        "variables=3.*name or a list of names",
    ),
    "a graph with an unknown latent": (
        lambda: pc.CausalGraph([("dose", "effect")], latent=["doze"]),
        pc.UnknownVariable,
        "latent: .*'doze'. Did you mean 'dose'",
    ),
}


@pytest.mark.parametrize("case", NAMES.values(), ids=NAMES)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    check_refused(case)
