"""Cases of bad input: what is asked, and the error that refuses it; questions in short."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from small_programs import CLINIC, KIND, KINDS, TREAT, UNIT

import pyrocausal as pc

__all__ = ["Ask", "Case", "act", "check_refused", "frame", "imagine", "suppose"]

Ask = Callable[[], object]
Case = tuple[Ask, type[Exception], str]


def check_refused(case: Case) -> None:
    """Ask, and expect just that error, in these words."""
    ask, kind, message = case
    with pytest.raises(kind, match=f"(?s){message}") as raised:
        ask()
    assert type(raised.value) is kind


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
