"""CausalDiffAE: images whose causes follow a graph, and that answer ``do``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import torch
from torch import Tensor

from pyrocausal.building import Edges
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.graph import CausalGraph
from pyrocausal.guides.image_encoder import ImageEncoder, ImageGuide
from pyrocausal.mechanisms.base import check_count, check_counts
from pyrocausal.model import SCM
from pyrocausal.models.causal_diffae_program import IMAGE, CausalImageProgram
from pyrocausal.models.causal_diffae_reading import read_graph, read_images, read_labels
from pyrocausal.models.causal_latents import CausalLatents, Order
from pyrocausal.models.diffusion import Diffusion, Parameterization
from pyrocausal.models.diffusion import Schedule as NoiseSchedule
from pyrocausal.models.image_site import Sampling
from pyrocausal.models.image_training import Schedule, Training, read_tensors, write_tensors
from pyrocausal.models.unet import UNet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CausalDiffAE"]

CONDITION_NOISE: Final = 0.03  # of the standardised causes, so that the painter is smooth in them
EVERY: Final = 250
BATCH: Final = 64  # of encoder and mechanisms
HALVED: Final = ("painter.", "encoder.")  # what a file in half precision holds halved


class CausalDiffAE:
    r"""Causal diffusion autoencoder: an SCM of labelled causes and the image that they show in.

    .. math::
        z_i = f_i(z_{pa(i)}) + u_i, \qquad x = g(x_T, z), \quad x_T \sim N(0, I)

    An encoder reads the causes from an image, and so their noise ``u``; labels give each cause its
    meaning; a diffusion model paints the image from the causes and from ``x_T``, which holds
    everything else: abduction inverts the sampler. Labels may be missing (NaN) for most images.

    Training has two stages: encoder and mechanisms by the labels, then the diffusion model given
    the causes that the encoder reads. Each cause is one number here (the paper's blocks have
    several), so that it is an ordinary variable with its label as evidence.

    Args:
        graph: A causal graph of the labels, or its edges.
        image_shape: Channels, height and width.
        widths: Channels of the U-Net at each resolution.
        blocks: Residual blocks at each resolution.
        fold: Side of the square of pixels that the U-Net folds into channels.
        channels: Channels of the encoder's convolutions.
        mechanism: ``"topological"``; ``"released"`` only to compare with the released code, in
            which an intervention does not reach grandchildren.
        schedule: The noise schedule, ``"cosine"`` or ``"linear"``.
        parameterization: What the U-Net predicts, ``"v"`` or ``"eps"``.
        steps: Steps of the sampler and of its inversion.
        guidance: How strongly the causes act on the image; 1 is the model itself.
        label_sd: Standard deviation of a label given its cause, in standardised units. Residuals
            smaller than that are forgotten in part.
        seed: Of the first weights.

    Raises:
        ValueError: A cyclic graph, one with hidden causes, sizes that don't fit, no steps.

    Example:
        >>> images, labels = torch.rand(32, 1, 8, 8) * 2 - 1, {"a": torch.randn(32)}
        >>> labels["b"] = labels["a"] + torch.randn(32)
        >>> model = CausalDiffAE([("a", "b")], (1, 8, 8), widths=(8, 32), steps=2)
        >>> fitted = model.fit(images, labels, steps=2, encoder_steps=2, progress=False)
        >>> answer = model.scm.counterfactual(evidence={"image": images[:5]}, do={"a": 0.5})
        >>> answer["image"].shape
        torch.Size([5, 1, 8, 8])

    References:
        Komanduri, Zhao, Chen, Wu (2024), Causal diffusion autoencoders: toward counterfactual
        generation via diffusion probabilistic models. ECAI.
    """

    def __init__(
        self,
        graph: Edges,
        image_shape: Sequence[int],
        *,
        widths: Sequence[int] = (32, 64),
        blocks: int = 1,
        fold: int = 2,
        channels: Sequence[int] = (16, 32, 64),
        mechanism: Order = "topological",
        schedule: NoiseSchedule = "cosine",
        parameterization: Parameterization = "v",
        steps: int = 50,
        guidance: float = 1.0,
        label_sd: float = 0.1,
        seed: int = 0,
    ) -> None:
        causal = read_graph(graph)
        check_counts(image_shape, "image_shape")
        check_counts(widths, "widths")
        check_count(steps, "steps")
        self.config: dict[str, Any] = {
            "graph": [list(edge) for edge in causal.edges],
            "nodes": list(causal.nodes),
            "image_shape": list(image_shape),
            "widths": list(widths),
            "blocks": blocks,
            "fold": fold,
            "channels": list(channels),
            "mechanism": mechanism,
            "schedule": schedule,
            "parameterization": parameterization,
            "label_sd": label_sd,
            "seed": seed,
        }
        self.graph, self.image_shape = causal, tuple(image_shape)
        self.label_sd = label_sd
        self.sampling = Sampling(steps=steps, guidance=guidance)
        with quiet_seed(seed):
            latents = CausalLatents(causal, mechanism)
            size = len(latents.names)
            net = UNet(image_shape, size, widths=widths, blocks=blocks, fold=fold)
            diffusion = Diffusion(net, size, schedule=schedule, parameterization=parameterization)
            encoder = ImageEncoder(image_shape, size, channels)
        self.program = CausalImageProgram(
            latents, encoder, diffusion, image_shape, self.sampling
        ).eval()
        self.losses: dict[str, list[float]] = {}
        self._scm: SCM | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The causes, each before its effects."""
        return self.program.latents.names

    @property
    def scm(self) -> SCM:
        """The SCM: a site for each cause, in natural units, and ``image``."""
        if self._scm is None:
            self._scm = SCM(self.program, name="causal_diffae")
            # The encoder stands for the causes' posterior: nothing else can.
            guide: Any = ImageGuide(self.program.encoder, self.program.latents, IMAGE)
            self._scm.amortized = guide
        return self._scm

    def fit(
        self,
        images: Any,
        labels: Any,
        *,
        steps: int = 2000,
        batch_size: int = 32,
        lr: float = 2e-3,
        encoder_steps: int = 1000,
        checkpoint: str | os.PathLike[str] | None = None,
        pictures: str | os.PathLike[str] | None = None,
        every: int = EVERY,
        progress: bool = True,
        seed: int = 0,
    ) -> Self:
        """Train encoder and mechanisms, then the diffusion model.

        Args:
            images: In [-1, 1], shape ``(n, C, H, W)``.
            labels: DataFrame or mapping, a column for each variable of the graph, NaN where
                missing.
            steps: Steps of the diffusion model.
            batch_size: Images a step.
            lr: Largest learning rate of the diffusion model; 2e-4 for images of 64 pixels or more.
            encoder_steps: Steps of encoder and mechanisms.
            checkpoint: A file to go on from after a kill; what comes out is the same, bit by bit.
            pictures: A folder in which the loss curve and a grid of samples are drawn meanwhile.
            every: Steps of the diffusion model between checkpoints, and between pictures.
            progress: Whether to show a bar.
            seed: Of batches and noise.

        Returns:
            The model itself.

        Raises:
            ValueError: Images of another size or range, labels that don't match the graph, a
                checkpoint of another training.
        """
        x = read_images(images, self.image_shape)
        y = read_labels(labels, self.names, len(x))
        with quiet_seed(seed):
            self._fit_encoder(x, y, encoder_steps, seed, progress)
            watch = None
            if pictures is not None:
                from pyrocausal.models.causal_diffae_pictures import Watch

                watch = Watch(self, x, Path(pictures))
            z = self._means(x)
            diffusion = self.program.painter.diffusion

            def loss(generator: torch.Generator) -> Tensor:
                rows = torch.randint(len(x), (batch_size,), generator=generator)
                noise = CONDITION_NOISE * torch.randn(batch_size, z.shape[1], generator=generator)
                return diffusion.losses(x[rows], z[rows] + noise, generator).mean()

            training = Training(
                diffusion,
                loss,
                Schedule(steps, lr, seed=seed),
                checkpoint=checkpoint,
                recipe={**self.config, "batch_size": batch_size, "data": _checksum(x, z)},
            )
            self.losses["diffusion"] = training.run(
                every=every, watch=watch, progress=progress, what="diffusion"
            )
        self._scm = None
        return self

    def _fit_encoder(
        self, x: Tensor, labels: Tensor, steps: int, seed: int, progress: bool
    ) -> None:
        program = self.program
        latents, encoder = program.latents, program.encoder
        latents.measure(labels)
        program.measure_roots(labels)
        y = latents.standardised(labels)
        labelled = (~y.isnan()).any(1).nonzero()[:, 0]

        def loss(generator: torch.Generator) -> Tensor:
            rows = torch.randint(len(x), (BATCH,), generator=generator)
            if 2 * len(labelled) < len(x):
                # Where labels are rare, half of a batch has them.
                chosen = torch.randint(len(labelled), (BATCH // 2,), generator=generator)
                rows = torch.cat([rows[: BATCH - BATCH // 2], labelled[chosen]])
            mean, variance = encoder(x[rows])
            eps = torch.randn(mean.shape, generator=generator)
            return latents.objective(mean, variance, eps, y[rows], self.label_sd).mean()

        both = torch.nn.ModuleList([encoder, latents])
        training = Training(both, loss, Schedule(steps, seed=seed))
        self.losses["encoder"] = training.run(progress=progress, what="encoder")
        with torch.no_grad():
            mean, variance = _in_parts(encoder, x)
            spread = latents.spread(latents.read(mean, {}), mean, variance).sqrt()
            ones = torch.ones_like(spread)
            latents.residual.copy_(torch.where(latents.roots, ones, spread))

    @torch.no_grad()
    def _means(self, x: Tensor) -> Tensor:
        """Return the standardised causes that the encoder reads from images."""
        return self.program.latents.read(_in_parts(self.program.encoder, x)[0], {})

    def encode(self, images: Any) -> pd.DataFrame:
        """Return the causes that the encoder reads from images, in natural units.

        Args:
            images: In [-1, 1], shape ``(n, C, H, W)``.
        """
        import pandas as pd

        latents = self.program.latents
        natural = latents.loc + latents.scale * self._means(read_images(images, self.image_shape))
        return pd.DataFrame(natural.numpy(), columns=list(self.names))

    @torch.no_grad()
    def inversion_error(self, images: Any) -> Tensor:
        """Return how far each image is from itself after abduction and prediction, in grey levels.

        Args:
            images: In [-1, 1], shape ``(n, C, H, W)``.

        Returns:
            Mean absolute difference times 127.5, shape ``(n,)``.
        """
        x, how = read_images(images, self.image_shape), self.sampling
        z, diffusion = self._means(x), self.program.painter.diffusion
        noise = diffusion.invert(x, z, how.steps, how.iterations)
        again = diffusion.decode(noise, z, how.steps, how.guidance).clamp(-1, 1)
        return 127.5 * (again - x).abs().flatten(1).mean(1)

    def save(self, path: str | os.PathLike[str], dtype: torch.dtype | None = None) -> None:
        """Write the model to one file, in the safetensors format.

        Args:
            path: The file, replaced at once or not at all.
            dtype: Of the numbers in the file; ``torch.float16`` halves it.
        """
        sampling = {"steps": self.sampling.steps, "guidance": self.sampling.guidance}
        tensors = {
            name: value.to(dtype) if dtype is not None and name.startswith(HALVED) else value
            for name, value in self.program.state_dict().items()
        }
        write_tensors(path, tensors, {**self.config, **sampling})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the model that ``save`` wrote.

        Args:
            path: The file.

        Raises:
            FileNotFoundError: No such file.
            ValueError: A file of another kind.
        """
        tensors, config = read_tensors(path)
        graph, nodes = config.pop("graph"), config.pop("nodes")
        model = cls(CausalGraph([tuple(edge) for edge in graph], nodes=nodes), **config)
        model.program.load_state_dict(tensors)
        return model

    def __repr__(self) -> str:
        state = "fitted" if self.losses else "not fitted here"
        return f"CausalDiffAE({self.graph!r}, image {self.image_shape}, {state})"


def _in_parts(encoder: ImageEncoder, x: Tensor) -> tuple[Tensor, Tensor]:
    parts = [encoder(part) for part in x.split(512)]
    return torch.cat([mean for mean, _ in parts]), torch.cat([v for _, v in parts])


def _checksum(*tensors: Tensor) -> list[float]:
    return [float(tensor.double().sum()) for tensor in tensors]
