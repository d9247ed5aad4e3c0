"""Models with known truth, for tests, tutorials and benchmarks.

Each name below builds a fresh SCM; `MODELS` holds for each the program, its graph, and the known
answers on all three rungs, which were derived by hand.

Example:
    >>> from pyrocausal import zoo
    >>> model = zoo.MODELS["simpson"]
    >>> for truth in model.truths[3:5]:
    ...     print(truth)
    P(recovery=1 | do(surgery=1)) = 0.8325
    P(recovery=1 | do(surgery=0)) = 0.7789
"""

from pyrocausal.zoo.confounders import CONFOUNDED, Confounded
from pyrocausal.zoo.continuous import additive_noise, non_gaussian
from pyrocausal.zoo.discrete import categories, counts
from pyrocausal.zoo.generators import (
    linear_chain,
    linear_chain_model,
    random_linear,
    random_linear_model,
)
from pyrocausal.zoo.graphs import m_bias, napkin
from pyrocausal.zoo.hidden import bow, front_door, instrument
from pyrocausal.zoo.junctions import alarm, chain, collider, fork
from pyrocausal.zoo.linear import diamond, homework, mediator, triangle
from pyrocausal.zoo.registry import MODELS, Model, Truth, models
from pyrocausal.zoo.services import service_latency
from pyrocausal.zoo.shapes import image, time_series, vector
from pyrocausal.zoo.stories import firing_squad, simpson
from pyrocausal.zoo.trials import noncompliance, vaccine

__all__ = [
    # The registry, and apart from it the controls S1 to S8.
    "CONFOUNDED",  # controls with a hidden confounder, by name
    "MODELS",  # all models by name
    "Confounded",  # a control, with the roles of its covariates and its data
    "Model",  # a program with its graph and its truths
    "Truth",  # the answer to one causal query
    "additive_noise",  # tanh and sin, additive noise
    "alarm",  # burglary, earthquake, alarm: explaining away
    "bow",  # effect with a hidden confounder
    "categories",  # five classes under the Gumbel-max coupling
    "chain",  # X -> Y -> Z
    "collider",  # X -> Z <- Y
    "counts",  # Poisson under the quantile coupling
    "diamond",  # two opposite paths
    "firing_squad",  # deterministic below the order
    "fork",  # X <- Z -> Y
    "front_door",  # smoking, tar, cancer
    "homework",  # Joe's homework
    "image",  # a blob in 8 x 8 pixels
    "instrument",  # linear instrument
    "linear_chain",  # a chain of any length
    "linear_chain_model",  # the same with its truths
    "m_bias",  # a covariate better not adjusted for
    "mediator",  # natural effects with interaction
    "models",  # the registry as a function
    "napkin",  # identified by a ratio only
    "non_gaussian",  # Laplace, Gumbel, exponential, gamma
    "noncompliance",  # binary instrument, compliers
    "random_linear",  # a random graph of any size
    "random_linear_model",  # the same with its truths
    "service_latency",  # a web shop with a fault: root causes
    "simpson",  # kidney stones
    "time_series",  # ten steps of three sensors
    "triangle",  # observed confounder
    "vaccine",  # probabilities of causation
    "vector",  # a correlated vector as mediator
]
