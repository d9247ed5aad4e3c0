"""Which policy: the mean outcome when a rule chooses the treatment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import torch

from pyrocausal.answers import Effect
from pyrocausal.interventions import Policy
from pyrocausal.queries.answering import Measured, answer, compared, mean_of
from pyrocausal.queries.asking import Options, Question, question
from pyrocausal.queries.scales import write

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["policy_value"]


def policy_value(
    scm: SCM,
    policy: Any,
    outcome: Any,
    *,
    treatment: str,
    versus: Any = None,
    **options: Unpack[Options],
) -> Effect:
    """Return the mean outcome under a policy, ``E[Y | do(X = pi(Z))]``, or less another one's.

    Args:
        scm: The model.
        policy: A rule: a function of the values of the variables that run before the treatment,
            such as ``lambda v: (v["age"] > 50).float()``; or any intervention on the treatment:
            a number for all, ``pc.shift(1.0)``, a distribution.
        outcome: A variable's name, an event such as ``{"Y": 1}``, or a function.
        treatment: The variable that the policy chooses.
        versus: Another policy, to compare with.
        options: ``given``, ``evidence``, ``scale`` (with ``versus``), ``inputs``,
            ``num_samples``, ``level`` and ``seed``; see `pyrocausal.queries.Options`.

    Raises:
        UnknownVariable: A name that is no variable, also in a rule.
        TypeError: A scale without a second policy.

    Example:
        >>> def ward():
        ...     severe = pyro.sample("severe", dist.Bernoulli(0.25))
        ...     treated = pyro.sample("treated", dist.Bernoulli(0.5))
        ...     pyro.sample("recovery", dist.Normal((2.0 * severe - 0.5) * treated, 0.1))
        >>> some = policy_value(
        ...     pc.SCM(ward), lambda v: v["severe"], "recovery", treatment="treated", seed=0
        ... )
        >>> abs(some.value - 0.25 * 1.5) < 4 * some.se
        True
    """
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
