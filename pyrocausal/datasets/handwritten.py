"""The 8x8 handwritten digits that scikit-learn ships."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyrocausal.datasets.morphometry import measure_morphomnist

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["small_digits"]


def small_digits() -> tuple[Tensor, pd.DataFrame]:
    """Return scikit-learn's 8x8 digits, with thickness and intensity as measured on them.

    No true model is known. `measure_morphomnist` measures, in pixels of these small images and in
    grey levels of which the full scale, 16 in the file, is 255.

    Reference figures: thickness 1.79 with standard deviation 0.27, intensity 215.4 with 19.6,
    correlation 0.30.

    Returns:
        Images in [-1, 1], shape ``(1797, 1, 8, 8)``, and a table with the columns ``thickness``,
        ``intensity`` and ``digit``.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.

    Example:
        >>> images, table = small_digits()  # doctest: +SKIP
        >>> images.shape  # doctest: +SKIP
        torch.Size([1797, 1, 8, 8])

    References:
        Alpaydin and Kaynak (1998), "Optical recognition of handwritten digits", UCI; the test set.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "small_digits() takes its images from scikit-learn, which is not installed. Run "
            "pip install scikit-learn, or use morpho_digits(), which needs no file."
        ) from error
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.get_default_dtype()).unsqueeze(1) / 8 - 1
    return images, measure_morphomnist(images).assign(digit=bunch.target)
