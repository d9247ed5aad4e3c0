"""Bare handlers given what they can't take: a clear error, and no handler left behind."""

from math import nan
from typing import Final

import pyro
import pytest
from refusals import Case, check_refused
from small_programs import THREE, TREAT, clinic, kinds

import pyrocausal as pc

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
        r"condition\('severity'\) holds words, such as 'high'",
    ),
}


@pytest.mark.parametrize("case", HANDLERS.values(), ids=HANDLERS)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    check_refused(case)


def test_a_failed_handler_leaves_no_other_behind() -> None:
    with pytest.raises(pc.UnknownVariable):
        pc.worlds(clinic, [{"treatd": 1.0}], size=2)()
    trace = pyro.poutine.trace(clinic).get_trace()
    assert set(trace.nodes) >= {"severity", "treated", "recovery"}
