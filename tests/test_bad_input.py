"""Bad input: each mistake is a clear error that says what was got, expected, and what to do."""

from collections.abc import Callable
from math import inf, nan
from typing import Any, Final

import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn

import pyrocausal as pc


# severity -> treated -> recovery; severity -> recovery
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


# z -> stage, visits, total; dose -> total; vec, never, one are alone
def kinds() -> None:
    """A site of each kind of support, and a deterministic one."""
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    logits = torch.stack([z, -z, 0 * z, 0 * z, 0 * z], -1)
    pyro.sample("stage", dist.Categorical(logits=logits))
    pyro.sample("visits", dist.Poisson(torch.exp(z)))
    dose = pyro.sample("dose", dist.Gamma(2.0, 1.0))
    pyro.sample("vec", dist.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    pyro.sample("never", dist.Bernoulli(probs=torch.tensor(0.0)))
    pyro.sample("one", dist.OneHotCategorical(torch.ones(3) / 3))
    pyro.deterministic("total", z + dose, event_dim=0)


# x -> m -> y
def chain() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(x, 1.0))
    pyro.sample("y", dist.Normal(m, 1.0))


# (age) -> risk -> event
def cohort(age: Tensor, slope: float = 1.0) -> None:
    """A program with an input, and one that has a default."""
    risk = pyro.sample("risk", dist.Normal(slope * age, 1.0))
    pyro.sample("event", dist.Normal(risk, 1.0))


class Cubed(dist.Normal):
    """A user's own law: no equation of Normal's is true of it."""

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's signature
        value: Tensor = super().sample(sample_shape)  # type: ignore[no-untyped-call]
        return value**3


# x -> y -> w
def unusual() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    y = pyro.sample("y", Cubed(x, 1.0))
    pyro.sample("w", dist.Normal(y, 1.0))


class Weights(PyroModule):
    """A linear layer with random weights, the same for all units."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = PyroModule[nn.Linear](1, 1)  # type: ignore[call-arg, arg-type]
        self.lin.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 1]).to_event(2))
        self.lin.bias = PyroSample(dist.Normal(0.0, 1.0).expand([1]).to_event(1))

    def forward(self) -> None:
        slope, shift = self.lin.weight, self.lin.bias
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(slope[0, 0] * x + shift[0], 1.0))


CLINIC: Final = pc.SCM(clinic)
HIDDEN: Final = pc.SCM(clinic, latent=["severity"])
KINDS: Final = pc.SCM(kinds)
CHAIN: Final = pc.SCM(chain)
COHORT: Final = pc.SCM(cohort)
UNUSUAL: Final = pc.SCM(unusual)
SHARED: Final = pc.SCM(Weights())

UNIT: Final = {"severity": 0.3, "treated": 0.0, "recovery": -0.1}
THREE: Final = torch.zeros(3)
UNITS: Final = {"severity": THREE, "treated": THREE, "recovery": THREE}
KIND: Final = {
    "z": 0.0,
    "stage": 1,
    "visits": 2,
    "dose": 1.0,
    "vec": [0.0, 1.0],
    "never": 0.0,
    "one": [1.0, 0.0, 0.0],
}
TREAT: Final = {"treated": 1.0}

Ask = Callable[[], object]
Case = tuple[Ask, type[Exception], str]


def imagine(do: Any = TREAT, **evidence: Any) -> Any:
    """A counterfactual of one patient, with some evidence changed."""
    return CLINIC.counterfactual({**UNIT, **evidence}, do)


def suppose(**evidence: Any) -> Any:
    """A counterfactual of one unit of every kind, with some evidence changed."""
    return KINDS.counterfactual({**KIND, **evidence}, {"z": 1.0})


def act(scm: pc.SCM = CLINIC, /, **do: Any) -> Any:
    """Five units under an intervention."""
    return scm.do(do).sample(5)


def frame(**columns: Any) -> pd.DataFrame:
    """A table of two patients, with some columns changed."""
    return pd.DataFrame(
        {"severity": [0.0, 1.0], "treated": [0, 1], "recovery": [0.0, 1.0], **columns}
    )


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

TYPES: Final[dict[str, Case]] = {
    "a string": (
        lambda: imagine(severity="high"),
        TypeError,
        r"evidence\['severity'\] holds 'high' .*expected numbers. Code categories as 0, 1, 2",
    ),
    "strings": (
        lambda: imagine(severity=["low", "high"]),
        TypeError,
        r"evidence\['severity'\] holds 'low' .*expected numbers",
    ),
    "strings in a table": (
        lambda: CLINIC.counterfactual(frame(severity=["low", "high"]), TREAT),
        TypeError,
        r"evidence\['severity'\] holds 'low' .*Code categories as 0, 1, 2",
    ),
    "numbers as strings in a table": (
        lambda: CLINIC.counterfactual(frame(severity=["1.5", "2.5"]), TREAT),
        TypeError,
        r"evidence\['severity'\] holds '1.5' of type str",
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
        "evidence is a NoneType; expected a mapping",
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
        r"do\('treated'='yes'\): expected a number, a tensor or an intervention",
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

INTERVENTIONS: Final[dict[str, Case]] = {
    "do nothing": (lambda: CLINIC.do(), ValueError, r"do\(\) got no intervention.*such as do"),
    "imagine nothing": (lambda: imagine(do=None), ValueError, r"do\(\) got no intervention"),
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


def a_number_of_units(n: Any) -> Case:
    return lambda: CLINIC.sample(n), ValueError, "number of units.*expected a positive whole"


def a_number_of_draws(n: Any) -> Case:
    return (
        lambda: CLINIC.counterfactual(UNIT, TREAT, num_draws=n),
        ValueError,
        "num_draws is .*expected a positive whole number",
    )


COUNTS: Final[dict[str, Case]] = {
    **{f"{n!r} units": a_number_of_units(n) for n in (0, -1, True, 2.0, "3", None)},
    **{f"{n!r} draws": a_number_of_draws(n) for n in (0, -1, True, 2.0, "3")},
    "a seed of text": (
        lambda: CLINIC.sample(3, seed="a"),  # type: ignore[arg-type]
        TypeError,
        "seed is 'a'; expected a whole number",
    ),
    "half a seed": (
        lambda: CLINIC.sample(3, seed=1.5),  # type: ignore[arg-type]
        TypeError,
        "seed is 1.5; expected a whole number",
    ),
    "no size of pc.units": (lambda: pc.units(0), ValueError, r"size of pc\.units\(\) is 0"),
    "no size of pc.worlds": (
        lambda: pc.worlds(clinic, [TREAT], size=0),
        ValueError,
        r"size of pc\.worlds\(\) is 0",
    ),
}

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
    "evidence below a latent": (
        lambda: HIDDEN.counterfactual({"treated": 1.0}, {"treated": 0.0}),
        pc.IncompleteEvidence,
        "'severity' is latent but its descendant 'treated' was observed",
    ),
    "a missing ancestor": (
        lambda: CLINIC.counterfactual({"treated": THREE, "recovery": THREE}, TREAT),
        pc.IncompleteEvidence,
        "'severity' is missing but its descendant 'treated'.*Give 'severity' as evidence",
    ),
    "an ancestor missing of some units": (
        lambda: imagine(severity=[0.0, nan, nan], treated=0.0, recovery=[0.0, nan, 1.0]),
        pc.IncompleteEvidence,
        "'severity' is missing for units 1, 2 but its descendant 'treated'",
    ),
    "a missing ancestor after condition": (
        lambda: CLINIC.condition(recovery=1.0).sample(2),
        pc.IncompleteEvidence,
        "'severity' is missing but its descendant 'recovery'",
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
        r"inputs\['age'\] holds 'old'",
    ),
    "an input of a program without": (
        lambda: CLINIC.sample(3, inputs={"age": THREE}),
        pc.UnknownVariable,
        "inputs: .*'age'",
    ),
}

HANDLERS: Final[dict[str, Case]] = {
    "misspelt in the bare do": (
        pc.do(clinic, treatd=1.0),
        pc.UnknownVariable,
        "do: .*'treatd'. Did you mean 'treated'",
    ),
    "misspelt in the bare condition": (
        pc.condition(clinic, severty=1.0),
        pc.UnknownVariable,
        "condition: .*'severty'. Did you mean 'severity'",
    ),
    "misspelt in the bare worlds": (
        pc.worlds(clinic, [{"treatd": 1.0}], size=2),
        pc.UnknownVariable,
        "worlds: .*'treatd'. Did you mean 'treated'",
    ),
    "misspelt in the noise of worlds": (
        pc.worlds(clinic, [TREAT], size=2, noise={"treatd": "quantile"}),
        pc.UnknownVariable,
        "noise: .*'treatd'. Did you mean 'treated'",
    ),
    "misspelt in the noise of exogenous": (
        pc.exogenous(clinic, noise={"treatd": "quantile"}),
        pc.UnknownVariable,
        "noise: .*'treatd'. Did you mean 'treated'",
    ),
    "an unknown coupling in exogenous": (
        lambda: pc.exogenous(clinic, noise={"treated": "quant"}),
        ValueError,
        r"noise\['treated'\] is 'quant'; expected one of",
    ),
    "an edge in the bare do": (
        lambda: pc.do(clinic, pc.edge("treated", "recovery", 1.0)),
        ValueError,
        r"pc\.edge\(\).*a bare handler can't.*SCM\.do\(\)",
    ),
    "worlds in the bare do": (
        lambda: pc.do(clinic, [TREAT]),
        ValueError,
        r"pc\.do\(\) makes one world.*pc\.worlds\(\) or SCM\.do\(\)",
    ),
    "a grid in the bare do": (
        lambda: pc.do(clinic, treated=pc.grid([0.0, 1.0])),
        ValueError,
        r"pc\.do\(\) makes one world",
    ),
    "an edge in worlds": (
        lambda: pc.worlds(clinic, [pc.edge("treated", "recovery", 1.0)], size=2),
        ValueError,
        r"pc\.edge\(\).*a bare handler can't",
    ),
    "the bare do of nothing": (
        lambda: pc.do(clinic),
        ValueError,
        r"do\(\) got no intervention",
    ),
    "the bare do of no program": (
        lambda: pc.do(3, TREAT),
        TypeError,
        r"do\(\) got int as program; expected a callable",
    ),
    "NaN in the bare do": (pc.do(clinic, treated=nan), ValueError, r"do\('treated'\) got NaN"),
    "a wrong shape in the bare do": (
        pc.do(clinic, treated=THREE),
        ValueError,
        r"do\('treated'\) got a value of shape \(3,\)",
    ),
    "7 for five classes in the bare do": (
        pc.do(kinds, stage=7),
        ValueError,
        r"do\('stage'\) got 7, which Categorical can't take",
    ),
    "a policy that reads ahead in the bare do": (
        pc.do(clinic, treated=pc.policy(lambda values: values["recovery"])),
        pc.UnknownVariable,
        "rule for 'treated', which sees what runs before 'treated'.*'recovery'",
    ),
    "the bare condition on nothing": (
        lambda: pc.condition(clinic),
        ValueError,
        r"condition\(\) got no evidence",
    ),
    "a list in the bare condition": (
        lambda: pc.condition(clinic, [1.0]),
        TypeError,
        "evidence is a list; expected a mapping",
    ),
    "NaN in the bare condition": (
        pc.condition(clinic, severity=nan),
        ValueError,
        r"condition\('severity'\) is NaN or infinite.*Leave out what is missing",
    ),
    "7 for five classes in the bare condition": (
        pc.condition(kinds, stage=7),
        ValueError,
        r"condition\('stage'\) got 7, which Categorical can't take",
    ),
    "a wrong shape in the bare condition": (
        pc.condition(kinds, vec=THREE),
        ValueError,
        r"condition\('vec'\) has the shape \(3,\); expected .*\(2,\)",
    ),
    "a string in the bare condition": (
        pc.condition(clinic, severity="high"),
        TypeError,
        r"condition\('severity'\) holds 'high'",
    ),
}

GRAPHS: Final[dict[str, Case]] = {
    "a cycle": (
        lambda: pc.CausalGraph([("a", "b"), ("b", "c"), ("c", "a")]),
        ValueError,
        "cycle a -> b -> c -> a.*Drop or turn one",
    ),
    "a self loop": (lambda: pc.CausalGraph([("a", "a")]), ValueError, "a -> a is a self loop"),
    "an edge of one name": (
        lambda: pc.CausalGraph(["ab"]),  # type: ignore[list-item]
        ValueError,
        "pair of names such as .*got 'ab'",
    ),
    "numbers for nodes": (
        lambda: pc.CausalGraph([(1, 2)]),  # type: ignore[list-item]
        TypeError,
        "named by strings, got 1",
    ),
    "misspelt in a graph's do": (
        lambda: pc.CausalGraph([("dose", "effect")]).do("doze"),
        pc.UnknownVariable,
        "do: .*'doze'. Did you mean 'dose'",
    ),
}

CASES: Final = {
    **NAMES,
    **SHAPES,
    **NUMBERS,
    **SUPPORTS,
    **TYPES,
    **INTERVENTIONS,
    **COUNTS,
    **INFERENCE,
    **HANDLERS,
    **GRAPHS,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    ask, kind, message = case
    with pytest.raises(kind, match=f"(?s){message}") as raised:
        ask()
    assert type(raised.value) is kind


def test_no_two_cases_share_a_name() -> None:
    tables = (NAMES, SHAPES, NUMBERS, SUPPORTS, TYPES, INTERVENTIONS, COUNTS, INFERENCE)
    assert len(CASES) == sum(map(len, (*tables, HANDLERS, GRAPHS)))


def test_a_failed_handler_leaves_no_other_behind() -> None:
    with pytest.raises(pc.UnknownVariable):
        pc.worlds(clinic, [{"treatd": 1.0}], size=2)()
    trace = pyro.poutine.trace(clinic).get_trace()
    assert set(trace.nodes) >= {"severity", "treated", "recovery"}
