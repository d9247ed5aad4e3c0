"""Deep structural causal models: flows for numbers, an encoder and a decoder for the image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.building import Edges, GraphProgram
from pyrocausal.choosing import Column, choose_mechanisms
from pyrocausal.engine.evidence import columns_of
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.errors import UnknownVariable
from pyrocausal.fitting.options import read_seed
from pyrocausal.fitting.paths import Compile
from pyrocausal.fitting.saving import rebuilt
from pyrocausal.graph import CausalGraph
from pyrocausal.mechanisms import Flow, Mechanism
from pyrocausal.mechanisms.base import check_count
from pyrocausal.model import SCM
from pyrocausal.models.image_decoder import CodeGuide, ImageDecoder, encoder_of

if TYPE_CHECKING:
    from pyrocausal.fitting.fit_report import FitReport

__all__ = ["DeepSCM", "DeepSCMResult"]

IMAGE, CODE = "image", "z"


class DeepSCM:
    r"""A deep structural causal model of an image and of what it shows.

    .. math::
        x_i = T_i(u_i; pa_i), \quad z \sim N(0, I), \quad image = \mu(z, x) + \sigma u

    The variables of the graph have invertible mechanisms, so their noise is exact; all of them are
    causes of the image. Its noise is a code ``z``, which an encoder infers, and the noise of the
    pixels, exact once the code is known. Program and encoder are trained together, by the evidence
    lower bound.

    What is approximate: the encoder stands for the posterior of ``z``, and its draws are not
    weighed. A code of finite length and normal pixels are a model: what the decoder cannot draw
    stays in the pixels' noise, and goes over to a counterfactual image as it is, where the causes
    have it or not.

    Args:
        graph: The graph of the causes, such as ``[("thickness", "intensity")]``.
        image_shape: Channels, height and width.
        latent: Length of the code.
        mechanisms: Cause to mechanism, where it shall not be the default: a spline flow for a
            continuous column, and what the column's kind asks for else.

    Raises:
        ValueError: A cause with a name that is taken, a latent cause, an image shape that is none.

    Example:
        >>> from pyrocausal import datasets
        >>> images, table = datasets.morpho_digits(200)
        >>> model = DeepSCM([("thickness", "intensity")], image_shape=(1, 28, 28), latent=4)
        >>> result = model.fit(images, table[["thickness", "intensity"]], steps=5, seed=0)
        >>> evidence = {"image": images[:3], **table[["thickness", "intensity"]][:3]}
        >>> answer = result.scm.counterfactual(evidence, do={"thickness": 4.0})
        >>> answer["image"].shape
        torch.Size([3, 1, 28, 28])

    References:
        Pawlowski, Castro, Glocker (2020), Deep structural causal models for tractable
        counterfactual inference.
    """

    def __init__(
        self,
        graph: Edges,
        image_shape: Sequence[int],
        *,
        latent: int = 16,
        mechanisms: Mapping[str, Mechanism] | None = None,
    ) -> None:
        self.graph = graph if isinstance(graph, CausalGraph) else CausalGraph(graph)
        check_count(latent, "latent")
        if len(image_shape) != 3:
            raise ValueError(
                f"DeepSCM got image_shape={image_shape}; expected channels, height and width."
            )
        for size, what in zip(image_shape, ("channels", "height", "width"), strict=True):
            check_count(size, what, least=1 if what == "channels" else 4)
        for name in (IMAGE, CODE):
            if name in self.graph:
                raise ValueError(
                    f"DeepSCM got a graph with {name!r}, a name of its own: expected the graph of "
                    "the causes alone, all of which the image has. Rename it, or leave it out."
                )
        if self.graph.latent:
            names = ", ".join(sorted(self.graph.latent))
            raise ValueError(f"DeepSCM got latent causes, {names}; expected observed ones only.")
        self.image_shape, self.latent = tuple(image_shape), latent
        self.mechanisms = dict(mechanisms or {})

    def fit(
        self,
        images: Tensor,
        labels: Any,
        *,
        steps: int = 3000,
        batch_size: int = 128,
        lr: float = 2e-3,
        validation: float = 0.1,
        compile: Compile = False,
        checkpoint: str | os.PathLike[str] | None = None,
        device: torch.device | str | None = None,
        progress: bool | None = None,
        seed: int | None = None,
    ) -> DeepSCMResult:
        """Train mechanisms, decoder and encoder on images and their labels.

        Args:
            images: In [-1, 1], shape ``(n, C, H, W)``.
            labels: The causes, a DataFrame or mapping, complete; further columns are left out.
            steps: Number of gradient steps at most.
            batch_size: Units a step.
            lr: Learning rate of Adam at first; it falls along a cosine.
            validation: Fraction of units held out for early stopping.
            compile: Whether a step is turned into one compiled graph; see ``SCM.fit``. On a processor
                convolutions take most of it, which gain nothing.
            checkpoint: A folder to keep the fit in while it runs; see ``SCM.fit``.
            device: Where to train, such as ``"cuda"``.
            progress: Whether to show a bar; ``None`` shows one on a terminal.
            seed: Gives the same model again.

        Raises:
            TypeError: Images that are no tensor of floats.
            UnknownVariable: A cause without a column.
            ValueError: Images of another shape or range, or as many labels as there are not;
                missing labels.
        """
        seed = read_seed(seed, "fit()")
        columns = self._columns(images, labels)
        with quiet_seed(seed):
            program, guide = self._parts(columns)
        scm = SCM(program, latent=[CODE], name="deep_scm")
        report = scm.fit(
            {IMAGE: images, **{name: column.values for name, column in columns.items()}},
            guide,
            steps=steps,
            batch_size=min(batch_size, len(images)),
            lr=lr,
            validation=validation,
            compile=compile,
            checkpoint=checkpoint,
            device=device,
            progress=progress,
            seed=seed,
        )
        scm.amortized = guide  # type: ignore[assignment]
        return DeepSCMResult(scm, program, guide, report)

    def _columns(self, images: Any, labels: Any) -> dict[str, Column]:
        if not isinstance(images, Tensor) or not images.is_floating_point():
            kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"fit() got images of type {kind}; expected a tensor of floats.")
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"fit() got images of shape {tuple(images.shape)}; expected "
                f"(n, {', '.join(map(str, self.image_shape))})."
            )
        if not bool((images.abs() <= 1.001).all()):
            raise ValueError(
                f"fit() got images with values from {float(images.min()):.4g} to "
                f"{float(images.max()):.4g}; expected [-1, 1]. Bytes become that by "
                "images / 127.5 - 1, numbers in [0, 1] by 2 * images - 1."
            )
        given = columns_of(labels, "labels")
        columns = {}
        for name in self.graph.topological_order():
            if name not in given:
                raise UnknownVariable(name, given, "labels")
            columns[name] = column = Column.read(name, given[name])
            if len(column.values) != len(images):
                raise ValueError(
                    f"fit() got {len(images)} images and {len(column.values)} values of {name!r}; "
                    "expected as many."
                )
            if bool(column.values.isnan().any()):
                raise ValueError(
                    f"fit() got missing values of {name!r}; expected none, as the encoder reads all "
                    "labels. Drop these units."
                )
        return columns

    def _parts(self, columns: Mapping[str, Column]) -> tuple[GraphProgram, CodeGuide]:
        parents = {name: tuple(self.graph.predecessors(name)) for name in columns}
        given: dict[str, Any] = dict(self.mechanisms)
        for name, column in columns.items():
            if name not in given and column.kind == "continuous":
                given[name] = Flow(
                    [columns[parent].parent for parent in parents[name]],
                    loc=float(column.values.mean()),
                    scale=float(column.values.std()),
                )
        data = {name: column.values for name, column in columns.items()}
        given |= choose_mechanisms(self.graph, data, given=given)
        decoder = ImageDecoder([c.parent for c in columns.values()], self.latent, self.image_shape)
        one = torch.ones(self.latent)
        edges = [(parent, name) for name in columns for parent in parents[name]]
        edges += [(name, IMAGE) for name in (CODE, *columns)]
        graph = CausalGraph(edges, latent=[CODE], nodes=[*columns, CODE, IMAGE])
        program = GraphProgram(
            graph, {**given, CODE: dist.Normal(0 * one, one).to_event(1), IMAGE: decoder}
        )
        return program, _guide_of(program)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> DeepSCMResult:
        """Return the trained model that ``DeepSCMResult.save`` wrote.

        Args:
            path: The file.

        Raises:
            FileNotFoundError: No such file.
            ValueError: A file of another kind, or of a model with mechanisms of one's own.
        """
        program = rebuilt(path)
        if not isinstance(program.mechanisms._modules.get(f"p({IMAGE})"), ImageDecoder):
            raise ValueError(f"{path} holds no DeepSCM. Load it with SCM.load(path).")
        guide = _guide_of(program)
        scm = SCM.load(path, program)
        scm.amortized = guide  # type: ignore[assignment]
        return DeepSCMResult(scm, program, guide)


def _guide_of(program: GraphProgram) -> CodeGuide:
    """Return an encoder for a program's decoder, whose parameters are the program's too."""
    decoder = program.mechanisms[f"p({IMAGE})"]
    assert isinstance(decoder, ImageDecoder)
    causes = tuple(name for name in program.parents[IMAGE] if name != CODE)
    guide = CodeGuide(encoder_of(decoder, decoder.latent), decoder.encoder, causes, IMAGE, CODE)
    program.encoder = guide.encoder  # saved with the program
    return guide


class DeepSCMResult:
    """A trained model: an SCM, whose image answers ``do``.

    Attributes:
        scm: The SCM, with a site for each cause, the code ``z`` and ``image``.
        program: Its program.
        guide: What infers the code of an image; attached to the SCM.
        report: How the fit went; ``None`` where it was loaded.
    """

    def __init__(
        self, scm: SCM, program: GraphProgram, guide: CodeGuide, report: FitReport | None = None
    ) -> None:
        self.scm, self.program, self.guide, self.report = scm, program, guide, report
        self.latent = guide.encoder.output.out_features // 2

    @property
    def causes(self) -> SCM:
        """The SCM of the causes alone, by which the image's truth can be asked of the model itself."""
        names = self.guide.causes
        parents = {name: self.program.parents[name] for name in names}
        graph = CausalGraph([(p, name) for name in names for p in parents[name]], nodes=names)
        mechanisms = {name: self.program.mechanisms[f"p({name})"] for name in names}
        return SCM(GraphProgram(graph, mechanisms), name="causes")

    @property
    def decoder(self) -> ImageDecoder:
        """The mechanism of the image."""
        decoder = self.program.mechanisms[f"p({IMAGE})"]
        if not isinstance(decoder, ImageDecoder):
            raise TypeError(f"The image's mechanism is a {type(decoder).__name__}.")
        return decoder

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, without code, which ``DeepSCM.load`` reads.

        Args:
            path: The file, replaced at once or not at all.
        """
        self.scm.save(path)

    def smooth(self, evidence: Any, do: Any, *, seed: int | None = None) -> dict[str, Tensor]:
        """Return counterfactuals whose images are the decoder's mean, without noise of the pixels.

        What the decoder can't draw is then lost, where ``scm.counterfactual`` takes it over.

        Args:
            evidence: Image and causes, units first.
            do: The intervention, or a list of them.
            seed: Seed of the code's draw.

        Returns:
            Variable to values, as ``scm.counterfactual`` gives them.
        """
        names = [*self.guide.causes, CODE]
        answer = self.scm.counterfactual(evidence, do, variables=names, seed=seed)
        parents = [answer[name] for name in self.program.parents[IMAGE]]
        with torch.no_grad():
            return {**answer, IMAGE: self.decoder.mean(*parents)}

    def __repr__(self) -> str:
        report, fitted = self.report, "fit: not here, loaded"
        if report is not None:
            fitted = (
                f"fit: {report.units} units, {report.parameters} parameters, "
                f"{len(report.losses)} steps in {report.seconds:.1f} s, loss "
                f"{report.losses[0]:.4g} at first, {report.losses[-1]:.4g} at last"
            )
        return (
            f"DeepSCM: {', '.join(self.guide.causes)} -> {IMAGE}, a code of {self.latent} numbers\n"
            f"{fitted}\n"
            f"pixels' noise: {127.5 * self.decoder.noise.item():.3g} grey levels\n"
            "approximate: the encoder's draws of the code are not weighed (guide.weighed = True)"
        )
