"""Three textbook data sets, shipped with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrocausal.datasets.files import read_table, shipped

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["close_college", "nhefs", "nhefs_codebook", "thornton_hiv"]


def nhefs() -> pd.DataFrame:
    """Return the NHEFS data: does quitting smoking make people gain weight?

    1566 smokers of 1971 who were weighed again in 1982. Treatment: ``qsmk``, quit smoking in
    between (0/1, 403 did). Outcome: ``wt82_71``, change of weight (kg). The usual adjustment set
    is ``sex`` (0 male, 1 female), ``race`` (0 white, 1 other), ``age`` (years, 1971),
    ``education`` (codes 1 to 5), ``smokeintensity`` (cigarettes a day), ``smokeyrs`` (years of
    smoking), ``exercise`` and ``active`` (codes 0 to 2, from much to little) and ``wt71`` (kg).
    `nhefs_codebook` describes the other columns; values are missing in those alone.

    Reference figures: the naive difference is 2.54 kg (4.53 against 1.98). Adjusted, with the
    squares of the four measured covariates, it is 3.44 kg by inverse probability weighting and
    3.46 kg by outcome regression. The book reports 3.4 to 3.5 kg, with a 95% interval of about 2.4
    to 4.5.

    Returns:
        A table of 1566 rows and 67 columns.

    Example:
        >>> weight = nhefs().groupby("qsmk")["wt82_71"].mean()
        >>> print(f"{weight[1] - weight[0]:.2f} kg")
        2.54 kg

    References:
        Hernán and Robins (2020), "Causal Inference: What If". From the package ``causaldata``,
        MIT.
    """
    return read_table(shipped("nhefs_complete.csv"), ["qsmk", "wt82_71"])


def nhefs_codebook() -> pd.DataFrame:
    """Return what each column of `nhefs` means, and its unit.

    Returns:
        A table with the columns ``variable`` and ``description``.

    Example:
        >>> nhefs_codebook().set_index("variable").loc["ht", "description"]
        'HEIGHT IN CENTIMETERS IN 1971'
    """
    return read_table(shipped("nhefs_codebook.csv"), ["variable", "description"])


def close_college() -> pd.DataFrame:
    """Return Card's data: what does a year of schooling do to the wage?

    3010 men in 1976. Instrument: ``nearc4``, a four-year college in the county (0/1). Treatment:
    ``educ`` (years of schooling). Outcome: ``lwage`` (logarithm of the hourly wage in cents).
    Controls: ``exper`` (years of work experience), ``black``, ``south``, ``smsa`` (lives in a
    metropolitan area), all three 0/1, and ``married`` (codes 1 to 6, missing in 7 rows).

    Reference figures, with all controls as numbers, on the 3003 complete rows: a year of schooling
    is worth 0.071 by least squares and 0.124 by the instrument, whose first stage is 0.327 years.

    Returns:
        A table of 3010 rows and 8 columns.

    Example:
        >>> schooling = close_college().groupby("nearc4")["educ"].mean()
        >>> print(f"{schooling[1] - schooling[0]:.2f} years, before any control")
        0.83 years, before any control

    References:
        Card (1995), "Using geographic variation in college proximity to estimate the return to
        schooling". From the package ``causaldata``, MIT.
    """
    return read_table(shipped("close_college.csv"), ["nearc4", "educ", "lwage"])


def thornton_hiv() -> pd.DataFrame:
    """Return Thornton's experiment: do people fetch their HIV result for a small sum?

    4820 people in rural Malawi. Treatment, randomised: ``any``, was offered an incentive (0/1),
    and ``tinc``, its total (US dollars). Outcome: ``got``, learned the result (0/1). Others:
    ``distvct`` (distance to the centre, km), ``age`` (years), ``villnum`` (village), ``hiv2004``
    (result: 0 negative, 1 positive, -1 in 14 rows, taken as indeterminate). Values are missing in
    all columns but ``distvct``; ``got`` and ``any`` are both known in 2834 rows.

    Reference figures: 0.789 learned their result with an incentive, 0.339 without; since the
    incentive was drawn by lot, the effect is the difference, 0.451.

    Returns:
        A table of 4820 rows and 7 columns.

    Example:
        >>> learned = thornton_hiv().groupby("any")["got"].mean()
        >>> print(f"{learned[1] - learned[0]:.3f}")
        0.451

    References:
        Thornton (2008), "The demand for, and impact of, learning HIV status", American Economic
        Review 98(5). From the package ``causaldata``, MIT.
    """
    return read_table(shipped("thornton_hiv.csv"), ["any", "got", "tinc"])
