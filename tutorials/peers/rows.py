"""Rows that the library and its peers are both given; numpy alone, so that any environment has it."""

from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["CONFOUNDERS", "counts", "pupils", "smokers"]

CONFOUNDERS = ["sex", "race", "age", "smokeintensity", "smokeyrs", "wt71"]


def smokers() -> pd.DataFrame:
    """Return who quit smoking (qsmk), how the weight changed in kg (wt82_71), and confounders."""
    data = Path("pyrocausal", "data", "nhefs_complete.csv")
    file = next(up / data for up in Path(__file__).resolve().parents if (up / data).exists())
    return pd.read_csv(file)[[*CONFOUNDERS, "qsmk", "wt82_71"]].astype(float)


def pupils(number: int = 500) -> pd.DataFrame:
    """Return pupils: encouraged -> homework, score; homework -> score."""
    encouraged, first, second = np.random.default_rng(0).normal(size=(3, number))
    homework = 0.5 * encouraged + 0.866 * first
    score = 0.7 * encouraged + 0.4 * homework + 0.557 * second
    return pd.DataFrame({"encouraged": encouraged, "homework": homework, "score": score})


def counts(number: int = 2000) -> pd.DataFrame:
    """Return a dose and how many fits a patient had: fewer, the larger the dose."""
    rng = np.random.default_rng(1)
    dose = rng.normal(size=number)
    fits = rng.poisson(np.exp(0.5 - 0.5 * dose))
    return pd.DataFrame({"dose": dose, "fits": fits.astype(float)})
