"""The page of ``pyrocausal explore``: move an action, see what is seen, done and imagined.

What the page tells is computed here without a browser; `page` and `serving` need the extra
``explore``, Bokeh, which brings its own server and its own JavaScript, so that nothing is loaded
from elsewhere.
"""

from pyrocausal.exploring.controls import Control, controls_of
from pyrocausal.exploring.explorer import Explorer
from pyrocausal.exploring.views import Panel, Row, View

__all__ = [
    "Control",  # one variable to set
    "Explorer",  # a model, with units that were simulated once
    "Panel",  # one distribution on one rung
    "Row",  # one variable of a unit and of its twin
    "View",  # all that the page shows
    "controls_of",  # the controls of a model
]
