"""Which policy: the mean outcome when a rule chooses the treatment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack, overload

import torch

from pyrocausal.answers import Effect, Estimate
from pyrocausal.interventions import Policy
from pyrocausal.queries.answering import Measured, answer, compared, mean_of
from pyrocausal.queries.asking import Options, Question, question
from pyrocausal.queries.scales import write

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["policy_value"]


@overload
def policy_value(
    source: SCM,
    policy: Any,
    outcome: Any,
    *,
    treatment: str,
    versus: Any = None,
    **options: Unpack[Options],
) -> Effect: ...


@overload
def policy_value(
    source: Any,
    policy: Any,
    outcome: Any,
    *,
    treatment: str,
    versus: Any = None,
    adjust: Sequence[str] = (),
    **options: Any,
) -> Estimate: ...


def policy_value(
    source: Any,
    policy: Any,
    outcome: Any,
    *,
    treatment: str,
    versus: Any = None,
    **options: Any,
) -> Effect | Estimate:
    """Return the mean outcome under a policy, ``E[Y | do(X = pi(Z))]``, or less another one's.

    Of a model it is read off its worlds. From data that another policy made it is estimated by
    weights: what the policy would do, against how likely it was done, given what is adjusted for.

    Args:
        source: The model; or data, a DataFrame or a mapping from name to column.
        policy: A rule: a function of the values of the variables that run before the treatment
            (of data, of the columns in ``adjust``), such as ``lambda v: (v["age"] > 50).float()``;
            or a number for all, a distribution, of a model any intervention on the treatment.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or of a model a function.
        treatment: The variable that the policy chooses; in data it has up to ten levels.
        versus: Another policy, to compare with.
        options: Of a model ``given``, ``evidence``, ``scale`` (with ``versus``), ``inputs``,
            ``num_samples``, ``level`` and ``seed``; see `pyrocausal.queries.Options`. From data

            - ``adjust``: the columns that hold the common causes of treatment and outcome;
            - ``propensity``: the column of the probability of the larger of two levels (of 1),
              or a mapping from level to column; fitted where left out;
            - ``method``: ``"aipw"``, doubly robust and cross-fitted (the default), or
              ``"weighting"``, Hájek's weighted mean;
            - ``treatment_model``, ``outcome_model``, ``splits``, ``folds``, ``squares``,
              ``factors``, ``replicates``, ``level`` and ``seed`` as in ``Estimand.estimate``.

    Returns:
        An `Effect` of a model; an `Estimate` from data, with an interval from influence functions.

    Raises:
        UnknownVariable: A name that is no variable or column, also in a rule.
        TypeError: A scale without a second policy; a source that is neither model nor data.
        ValueError: A treatment that no row of the data had, or of too many values.

    Example:
        >>> def ward():
        ...     severe = pyro.sample("severe", dist.Bernoulli(0.25))
        ...     treated = pyro.sample("treated", dist.Bernoulli(0.2 + 0.6 * severe))
        ...     pyro.sample("recovery", dist.Normal((2.0 * severe - 0.5) * treated, 0.1))
        >>> some = policy_value(
        ...     pc.SCM(ward), lambda v: v["severe"], "recovery", treatment="treated", seed=0
        ... )
        >>> abs(some.value - 0.25 * 1.5) < 4 * some.se
        True
        >>> rows = pc.SCM(ward).sample(2000, seed=0).to_frame()
        >>> found = policy_value(
        ...     rows,
        ...     lambda v: v["severe"],
        ...     "recovery",
        ...     treatment="treated",
        ...     adjust=["severe"],
        ...     seed=0,
        ... )
        >>> 0.25 * 1.5 in found.interval
        True

    References:
        Dudík, Langford, Li (2011), Doubly robust policy evaluation and learning.
    """
    from pyrocausal.model import SCM as Model

    if isinstance(source, Model):
        return _in_model(source, policy, outcome, treatment, versus, options)
    from pyrocausal.estimation.off_policy import off_policy_value

    return off_policy_value(source, policy, outcome, treatment=treatment, versus=versus, **options)


def _in_model(
    scm: SCM, policy: Any, outcome: Any, treatment: str, versus: Any, options: Any
) -> Effect:
    actions = [{treatment: _action(policy)}]
    if versus is not None:
        actions.append({treatment: _action(versus)})
    elif "scale" in options:
        raise TypeError("policy_value() compares on a scale two policies: give versus=.")
    asked = question(scm, outcome, actions, options)

    def measure(asked: Question) -> Measured:
        whole = asked.ask()
        outcomes = whole.outcomes()
        if versus is not None:
            return compared(whole, *outcomes)
        return Measured(*mean_of(whole, outcomes[0]), whole)

    means = [asked.mean(world) for world in range(len(actions))]
    text = write(means[0], means[1], asked.scale) if versus is not None else means[0]
    return answer(asked, measure, text)


def _action(policy: Any) -> Any:
    distribution = isinstance(policy, torch.distributions.Distribution)
    return Policy(policy) if callable(policy) and not distribution else policy
