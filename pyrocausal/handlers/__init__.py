"""Effect handlers: do, condition, exogenous, worlds, units.

Each is usable as function of a program, as decorator and as context manager:

    pc.do(program, {"x": 1.0})      pc.do(program, x=1.0)
    with pc.do({"x": 1.0}): ...     @pc.do({"x": 1.0})

and composes with Pyro's own handlers, plates, guides and samplers.
"""

from pyrocausal.handlers.conditioning import condition
from pyrocausal.handlers.doing import do
from pyrocausal.handlers.exogenous_noise import exogenous
from pyrocausal.handlers.sharing_noise import worlds
from pyrocausal.handlers.units_plate import units

__all__ = ["condition", "do", "exogenous", "units", "worlds"]
