"""Diffusion: noise becomes an image step by step, and an image the noise that it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log, pi
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from pyrocausal.mechanisms.base import check_count

__all__ = ["SCHEDULES", "Diffusion", "Parameterization", "Schedule"]

Schedule = Literal["cosine", "linear"]
Parameterization = Literal["v", "eps"]
Network = Callable[[Tensor, Tensor, Tensor], Tensor]

LAST: Final = 0.999
"""The time at which an image is taken for noise."""
LEAST_SIGNAL: Final = 1e-3
ROWS: Final = 256
"""Images that are worked on at a time."""
PROBES: Final = 8
"""Times at which the bound of a log density looks."""


class Diffusion(nn.Module):
    r"""A denoising diffusion model of images given a condition ``z``, with its DDIM sampler.

    ``x_t = cos(phi_t) x + sin(phi_t) eps``. With the velocity ``v = cos(phi) eps - sin(phi) x`` a
    deterministic (DDIM) step from t to s is the rotation
    ``x_s = cos(d) x_t - sin(d) v(x_t, t, z)``, ``d = phi_t - phi_s``; its inverse is the fixed
    point ``x_t = (x_s + sin(d) v(x_t, t, z)) / cos(d)``, whose iteration starts from the velocity
    of the step before.

    Args:
        network: ``network(x, t, z)``, the shape of ``x``: images ``(rows, *image)``, times
            ``(rows,)``, conditions ``(rows, condition)``.
        condition: Length of the condition.
        schedule: The angle ``phi`` as a function of time: ``"cosine"`` or ``"linear"`` (in the
            variance that 1000 steps add).
        parameterization: What the network predicts: ``"v"`` or ``"eps"``.

    Raises:
        ValueError: A schedule or parameterization that there is none of.

    Example:
        >>> still = Diffusion(lambda x, t, z: torch.zeros_like(x), condition=1)
        >>> noise = torch.randn(3, 1, 4, 4)
        >>> images = still.decode(noise, torch.zeros(3, 1), steps=5)
        >>> torch.allclose(still.invert(images, torch.zeros(3, 1), steps=5), noise, rtol=1e-4)
        True

    References:
        Song, Meng, Ermon (2021), Denoising diffusion implicit models; Salimans, Ho (2022),
        Progressive distillation; Ho, Salimans (2022), Classifier-free diffusion guidance.
    """

    def __init__(
        self,
        network: Network,
        condition: int,
        *,
        schedule: Schedule = "cosine",
        parameterization: Parameterization = "v",
    ) -> None:
        super().__init__()
        check_count(condition, "condition")
        if schedule not in SCHEDULES:
            raise ValueError(f"Got schedule={schedule!r}, expected one of {', '.join(SCHEDULES)}.")
        if parameterization not in get_args(Parameterization):
            raise ValueError(f"Got parameterization={parameterization!r}, expected 'v' or 'eps'.")
        self.network, self.parameterization = network, parameterization
        self.angle = SCHEDULES[schedule]
        self.null = nn.Parameter(torch.zeros(condition))

    def velocity(self, x: Tensor, t: Tensor, z: Tensor, guidance: float = 1.0) -> Tensor:
        """Return ``v(x_t, t, z)``, or ``v(null) + guidance (v(z) - v(null))``.

        Args:
            x: Noisy images, shape ``(rows, *image)``.
            t: The time, a number or one for each row.
            z: Conditions, shape ``(rows, condition)``.
            guidance: How strongly the condition acts; 1 is the model itself.
        """
        t = t.expand(len(x))
        v = self._velocity(x, t, z)
        if guidance == 1.0:
            return v
        without = self._velocity(x, t, self.null.expand_as(z))
        return without + guidance * (v - without)

    def decode(self, noise: Tensor, z: Tensor, steps: int = 50, guidance: float = 1.0) -> Tensor:
        """Return the images that noise becomes, by the deterministic sampler.

        Args:
            noise: Standard normal, shape ``(rows, *image)``.
            z: Conditions, shape ``(rows, condition)``.
            steps: Number of steps.
            guidance: How strongly the condition acts.

        Raises:
            ValueError: Not even one step.
        """
        check_count(steps, "steps")
        parts = zip(noise.split(ROWS), z.split(ROWS), strict=True)
        return torch.cat([self._decode(x, c, steps, guidance) for x, c in parts])

    def invert(self, images: Tensor, z: Tensor, steps: int = 50, iterations: int = 1) -> Tensor:
        """Return the noise from which ``decode`` makes these images, without guidance.

        Args:
            images: Shape ``(rows, *image)``.
            z: Conditions, shape ``(rows, condition)``.
            steps: Number of steps, those of ``decode``.
            iterations: Of each step's fixed point, beyond the first evaluation.

        Raises:
            ValueError: Not even one step.
        """
        check_count(steps, "steps")
        check_count(iterations, "iterations", least=0)
        parts = zip(images.split(ROWS), z.split(ROWS), strict=True)
        return torch.cat([self._invert(x, c, steps, iterations) for x, c in parts])

    def losses(
        self, images: Tensor, z: Tensor, generator: torch.Generator, dropout: float = 0.1
    ) -> Tensor:
        """Return each image's squared error of the prediction at one random time, ``(rows,)``.

        Args:
            images: Shape ``(rows, *image)``.
            z: Conditions, shape ``(rows, condition)``.
            generator: The source of chance.
            dropout: Probability that a condition is replaced by the null one, for guidance.
        """
        rows = len(images)
        t = LAST * torch.rand(rows, generator=generator, device=images.device)
        eps = torch.randn(images.shape, generator=generator, device=images.device)
        dropped = torch.rand(rows, generator=generator, device=images.device) < dropout
        z = torch.where(dropped[:, None], self.null, z)
        a, sigma = self._signal_and_noise(t, images)
        x = a * images + sigma * eps
        target = eps if self.parameterization == "eps" else a * eps - sigma * images
        error: Tensor = self.network(x, t, z) - target
        return error.square().flatten(1).mean(1)

    def bound(self, images: Tensor, z: Tensor) -> Tensor:
        r"""Return a lower bound of ``log p(image | z)``, estimated at a few fixed times.

        .. math::
            -\int \cot(\phi) E|v - \hat v|^2 d\phi - KL(q(x_T|x) || N(0, I)) + E \log N(x | x_0)

        with the same noise for every row: so it is a function of image and condition.

        Args:
            images: Shape ``(rows, *image)``.
            z: Conditions, shape ``(rows, condition)``.

        Returns:
            Shape ``(rows,)``, in nats.
        """
        times = torch.linspace(0.0, LAST, 1001, dtype=torch.float64, device=images.device)
        angles = self.angle(times)
        # The integral is one over log sin(phi), and the probes are equally spaced there.
        depth = angles.sin().log()
        width = (depth[-1] - depth[0]) / PROBES
        centres = depth[0] + width * (torch.arange(PROBES, device=images.device) + 0.5)
        size = images[0].numel()
        generator = torch.Generator(images.device).manual_seed(0)
        total = images.new_zeros(len(images))
        for t in times[torch.searchsorted(depth, centres)].to(images):
            eps = torch.randn(
                images.shape[1:], generator=generator, dtype=images.dtype, device=images.device
            )
            a, sigma = self._signal_and_noise(t[None], images)
            error = self.velocity(a * images + sigma * eps, t, z) - (a * eps - sigma * images)
            total = total + width.to(images) * error.square().flatten(1).sum(1)
        first, last = angles[[0, -1]].to(images)
        prior = 0.5 * (last.cos().square() * images.square().flatten(1).sum(1))
        prior = prior + 0.5 * size * (last.sin().square() - 1 - 2 * last.sin().log())
        reading = size * (0.5 * log(2 * pi) + first.tan().log() + 0.5)
        bound: Tensor = -(total + prior + reading)
        return bound

    def _velocity(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        predicted = self.network(x, t, z)
        if self.parameterization == "v":
            return predicted
        a, sigma = self._signal_and_noise(t, x)
        return (predicted - sigma * x) / a

    def _signal_and_noise(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        angle = self.angle(t).reshape(-1, *[1] * (like.dim() - 1))
        return angle.cos(), angle.sin()

    def _grid(self, steps: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return times from 0 to the last, and the angle from each to the next."""
        t = LAST * torch.arange(steps + 1, dtype=torch.float64) / steps
        turns = self.angle(t).diff()
        return t.to(like), turns.to(like)

    def _decode(self, x: Tensor, z: Tensor, steps: int, guidance: float) -> Tensor:
        t, turns = self._grid(steps, x)
        for step in range(steps, 0, -1):
            turn = turns[step - 1]
            x = turn.cos() * x - turn.sin() * self.velocity(x, t[step], z, guidance)
        return x

    def _invert(self, x: Tensor, z: Tensor, steps: int, iterations: int) -> Tensor:
        t, turns = self._grid(steps, x)
        v = torch.zeros_like(x)
        for step in range(1, steps + 1):
            start, turn = x, turns[step - 1]
            for _ in range(iterations + 1):
                x = (start + turn.sin() * v) / turn.cos()
                v = self.velocity(x, t[step], z)
            x = (start + turn.sin() * v) / turn.cos()
        return x


def _cosine(t: Tensor) -> Tensor:
    return _floored((0.5 * pi * (t + 0.008) / 1.008).cos())


def _linear(t: Tensor) -> Tensor:
    # The limit of 1000 steps that add variances from 1e-4 to 0.02; it starts where the other does.
    log_signal = -0.5 * (0.1 * t + 9.95 * t.square())
    return _floored((log_signal - 8e-5).exp())


def _floored(signal: Tensor) -> Tensor:
    return signal.clamp(min=LEAST_SIGNAL).acos()


SCHEDULES: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {"cosine": _cosine, "linear": _linear}
