"""Reading what a model of images is given: graph, images, labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyrocausal.building import Edges
from pyrocausal.engine.evidence import columns_of
from pyrocausal.graph import CausalGraph
from pyrocausal.models.causal_diffae_program import IMAGE
from pyrocausal.models.image_site import check_range

__all__ = ["read_graph", "read_images", "read_labels"]

FEWEST = 2
"""Labels of a variable, without which it has no scale."""


def read_graph(graph: Edges) -> CausalGraph:
    """Read the graph of the causes of an image.

    Raises:
        ValueError: A cycle, hidden causes, no variable, or one that is called ``image``.
    """
    causal = graph if isinstance(graph, CausalGraph) else CausalGraph(graph)
    if causal.latent or causal.bidirected:
        raise ValueError(
            f"Got {causal!r}, with hidden common causes; expected a graph of labelled variables "
            "alone. Label the common cause, or leave it out and say so."
        )
    if not causal.nodes:
        raise ValueError("Got a graph without variables; expected one for each label.")
    if IMAGE in causal:
        raise ValueError(
            f"The graph has a variable {IMAGE!r}, which is what the image itself is called: every "
            "variable of the graph is a cause of it. Leave it out."
        )
    return causal


def read_images(images: Any, image_shape: Sequence[int]) -> Tensor:
    """Read images.

    Raises:
        TypeError: No array of numbers.
        ValueError: Another shape or range, or values that are no numbers.
    """
    x = torch.as_tensor(images)
    if not x.is_floating_point():
        raise TypeError(
            f"Got images of {x.dtype}; expected floating-point numbers in [-1, 1]. Bytes become "
            "that by images / 127.5 - 1."
        )
    shape = tuple(image_shape)
    if x.dim() != 1 + len(shape) or tuple(x.shape[1:]) != shape or not len(x):
        raise ValueError(
            f"Got images of shape {tuple(x.shape)}; expected (n, {', '.join(map(str, shape))}). "
            "Resize them, or make the model with their image_shape."
        )
    if not bool(x.isfinite().all()):
        raise ValueError("Got images with NaN or infinite values; leave these images out.")
    check_range(x, "images")
    return x.to(torch.get_default_dtype())


def read_labels(labels: Any, names: Sequence[str], rows: int) -> Tensor:
    """Read labels, NaN where missing, shape ``(rows, variables)``.

    Raises:
        ValueError: Columns that are not those of the graph, another number of rows, a variable
            with fewer than two different labels.
    """
    columns = columns_of(labels, "labels")
    lacking, strange = set(names) - set(columns), set(columns) - set(names)
    if lacking or strange:
        parts = [f"no column {', '.join(sorted(lacking))}"] if lacking else []
        parts += [f"{', '.join(sorted(strange))}, not in the graph"] if strange else []
        raise ValueError(
            f"The labels don't match the graph: {'; '.join(parts)}. Expected "
            f"{', '.join(names)}; a label that is never known is a column of NaN in part only."
        )
    read = []
    for name in names:
        given = columns[name]
        column = given if isinstance(given, Tensor) else torch.tensor(np.asarray(given))
        column = column.to(torch.get_default_dtype())
        if column.shape != (rows,):
            raise ValueError(
                f"labels[{name!r}] has the shape {tuple(column.shape)}; expected ({rows},), one "
                "number for each image, NaN where it is not known."
            )
        known = column[~column.isnan()]
        if len(known) < FEWEST or bool((known == known[0]).all()) or bool(known.isinf().any()):
            raise ValueError(
                f"labels[{name!r}] has {len(known)} known values; expected two different finite "
                "ones or more. Without labels nothing says what the variable means."
            )
        read.append(column)
    return torch.stack(read, 1)
