"""E-values: how strong must an unmeasured confounder be to explain an association away?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, isfinite, sqrt
from numbers import Real
from typing import Final, Literal

__all__ = ["EValue", "Scale", "evalue"]

Scale = Literal["risk ratio", "odds ratio", "hazard ratio", "difference"]

_COMMON: Final[dict[str, Callable[[float], float]]] = {
    "risk ratio": lambda ratio: ratio,
    "odds ratio": sqrt,
    "hazard ratio": lambda ratio: (1 - 0.5 ** sqrt(ratio)) / (1 - 0.5 ** sqrt(1 / ratio)),
}
"""What makes a risk ratio of another ratio, where the outcome is common."""


@dataclass(frozen=True)
class EValue:
    """The least strength of a confounder that explains an association away, on two scales.

    Attributes:
        point: E-value of the estimate, a risk ratio of 1 or more.
        limit: E-value of the limit of the interval nearer to 1; 1 where the interval holds 1,
            None without an interval.
        risk_ratio: The estimate as a risk ratio.
        lower: Lower limit of the risk ratio, None without an interval.
        upper: Upper limit of the risk ratio.
        scale: What the estimate was given as.

    Example:
        >>> print(evalue(3.9, 1.8, 8.7))
        E-value 7.263, of the interval's limit 3
        risk ratio: 3.9 [1.8, 8.7]
        meaning: an unmeasured confounder, beyond the measured covariates, explains the estimate
          away if it goes with both treatment and outcome by risk ratios of 7.263 each (one may be
          weaker if the other is stronger); for the interval to reach 1, 3 each
        assumes: the risk ratios of the confounder are conditional on the measured covariates
    """

    point: float
    limit: float | None
    risk_ratio: float
    lower: float | None
    upper: float | None
    scale: str = "risk ratio"

    def __str__(self) -> str:
        limit = "" if self.limit is None else f", of the interval's limit {self.limit:.4g}"
        interval = "" if self.limit is None else f" [{self.lower:.4g}, {self.upper:.4g}]"
        approximated = "" if self.scale == "risk ratio" else f", from the {self.scale}"
        return "\n".join(
            [
                f"E-value {self.point:.4g}{limit}",
                f"risk ratio: {self.risk_ratio:.4g}{interval}{approximated}",
                f"meaning: {self._meaning()}",
                "assumes: the risk ratios of the confounder are conditional on the measured "
                "covariates",
            ]
        )

    def _meaning(self) -> str:
        strong = (
            "an unmeasured confounder, beyond the measured covariates, explains the estimate away "
            f"if it goes with both treatment and outcome by risk ratios of {self.point:.4g} each "
            "(one may be weaker if the other is stronger)"
        )
        if self.limit is None:
            return strong
        if self.limit == 1:
            return f"{strong}; the interval holds 1 as it is"
        return f"{strong}; for the interval to reach 1, {self.limit:.4g} each"


def evalue(
    estimate: float,
    lower: float | None = None,
    upper: float | None = None,
    *,
    scale: Scale = "risk ratio",
    rare: bool | None = None,
    se: float | None = None,
) -> EValue:
    r"""Return the E-value of an estimate, and of the limit of its interval nearer to no effect.

    .. math:: E = RR + \sqrt{RR (RR - 1)}, \quad RR \ge 1 \text{ (else } 1 / RR)

    A confounder whose risk ratios with treatment and with outcome are both at most :math:`B`
    changes a risk ratio by a factor of :math:`B^2 / (2B - 1)` at most, which is :math:`RR` at
    :math:`B = E`. Other scales are first turned into (approximate) risk ratios:

    - odds ratio: ``OR`` of a rare outcome, ``sqrt(OR)`` of a common one;
    - hazard ratio: ``HR`` of a rare outcome, ``(1 - .5^sqrt(HR)) / (1 - .5^sqrt(1/HR))`` of a
      common one;
    - difference ``d``: ``exp(.91 d)``, with limits ``exp(.91 d -+ 1.78 se)`` (95 %).

    Args:
        estimate: The ratio; or the difference of means in standard deviations of the outcome.
        lower: Lower limit of the interval of a ratio.
        upper: Upper limit.
        scale: ``"risk ratio"``, ``"odds ratio"``, ``"hazard ratio"`` or ``"difference"``.
        rare: Whether fewer than about 15 % have the outcome by the end of the study; needed for
            an odds or hazard ratio.
        se: Standard error of a difference, in the same unit.

    Raises:
        TypeError: An estimate that is no number.
        ValueError: A ratio that isn't positive, an interval that doesn't hold the estimate or has
            one limit only, a scale that is unknown, ``rare`` left open, or an argument that
            belongs to another scale.

    Example:
        >>> found = evalue(0.80, 0.71, 0.91)
        >>> print(f"{found.point:.3f} {found.limit:.3f}")
        1.809 1.429
        >>> print(f"{evalue(0.5, scale='difference', se=0.1).point:.3f}")
        2.529

    References:
        VanderWeele and Ding (2017), "Sensitivity analysis in observational research: introducing
        the E-value", Annals of Internal Medicine 167(4). VanderWeele (2017), "On a square-root
        transformation of the odds ratio for a common outcome", Epidemiology 28(6).
    """
    if not isinstance(estimate, Real):
        raise TypeError(
            f"evalue got {type(estimate).__name__}; expected a number, such as effect.value with "
            "lower=effect.interval.lower and upper=effect.interval.upper."
        )
    if scale == "difference":
        _refuse(scale, lower=lower, upper=upper, rare=rare)
        ratio, low, high = _from_difference(estimate, se)
    else:
        _refuse(scale, se=se)
        _check_ratios(estimate, lower, upper)
        convert = _converter(scale, rare)
        ratio = convert(estimate)
        low, high = (limit if limit is None else convert(limit) for limit in (lower, upper))
    return EValue(_e(ratio), _e_of_limit(ratio, low, high), ratio, low, high, scale)


def _e(ratio: float) -> float:
    ratio = max(ratio, 1 / ratio)
    return ratio + sqrt(ratio * (ratio - 1))


def _e_of_limit(ratio: float, lower: float | None, upper: float | None) -> float | None:
    if lower is None or upper is None:
        return None
    return 1.0 if lower <= 1 <= upper else _e(lower if ratio > 1 else upper)


def _converter(scale: str, rare: bool | None) -> Callable[[float], float]:
    """Return the function that makes a risk ratio of a ratio on this scale."""
    if scale not in _COMMON:
        raise ValueError(
            f"evalue got scale={scale!r}; expected one of {', '.join(_COMMON)}, difference."
        )
    if scale != "risk ratio" and rare is None:
        raise ValueError(
            f"evalue: whether the {scale} is near to a risk ratio depends on how common the "
            "outcome is. Say rare=True (fewer than about 15 % have it) or rare=False."
        )
    return _COMMON["risk ratio"] if rare else _COMMON[scale]


def _from_difference(d: float, se: float | None) -> tuple[float, float | None, float | None]:
    if not isfinite(d) or not (se is None or 0 <= se < inf):
        raise ValueError(
            f"evalue got the difference {d!r} with standard error {se!r}; expected finite numbers "
            "in standard deviations of the outcome, and no negative error."
        )
    if se is None:
        return exp(0.91 * d), None, None
    return exp(0.91 * d), exp(0.91 * d - 1.78 * se), exp(0.91 * d + 1.78 * se)


def _check_ratios(estimate: float, lower: float | None, upper: float | None) -> None:
    given = {"estimate": estimate, "lower": lower, "upper": upper}
    for name, ratio in given.items():
        if ratio is not None and not 0 < ratio < inf:
            raise ValueError(
                f"evalue got {name}={ratio!r}; expected a positive finite ratio. A difference of "
                "means in standard deviations has scale='difference'."
            )
    if (lower is None) != (upper is None):
        raise ValueError("evalue got one limit; expected both ends of the interval, or none.")
    if lower is not None and upper is not None and not lower <= estimate <= upper:
        raise ValueError(
            f"evalue got the interval [{lower:g}, {upper:g}], which doesn't hold the estimate "
            f"{estimate:g}. Give evalue(estimate, lower, upper), all on one scale."
        )


def _refuse(scale: str, **given: object) -> None:
    """Refuse arguments that mean nothing on a scale."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"evalue got {name}={value!r} with scale={scale!r}. A difference takes se=, a "
                "ratio takes lower, upper and, unless it is of risks, rare=."
            )
