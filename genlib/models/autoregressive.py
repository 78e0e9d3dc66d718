"""What every autoregressive model shares: the coding of pixels, the exact likelihood, prediction, drawing, completion.

    p(x) = prod_i p(x_i | x_1, ..., x_{i-1})        (van den Oord et al. 2016, arXiv:1601.06759, eq. 1; raster order)
    p(x_i | x_<i) = p(R | x_<i) p(G | x_<i, R) p(B | x_<i, R, G)                            (eq. 2, for colour)

A subclass is its network: `forward` gives the logits of every sub-pixel from one pass over whole images, and `state` a
`CausalState` that gives the same logits one sub-pixel after another. Everything a page or a score asks for follows from
these two.

A class-conditional network (``config.classes`` > 0) has p(x | y). Without a label its likelihood is the exact marginal
over equally frequent classes, p(x) = 1/K sum_y p(x | y); `sample` then draws a class for each image, and `complete` draws
it from the posterior given the pixels before the first hidden one, which is all that raster order has seen by then.
"""

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from genlib.data.codings import Binarisation, binarise, to_levels
from genlib.errors import GenlibError
from genlib.layers.precision import full_precision
from genlib.models.contract import TRAINING, Family, Model, Optimizers
from genlib.models.contract import Config as BaseConfig
from genlib.sampling import CausalState, Draws, PixelDraws, check_temperature, draw_rows, uniforms

CHUNK = 128  # images at a time where no gradient is wanted; bounds the memory, not the result
CHUNK_LOGITS = 1 << 24  # and logits at a time, 64 MB: a 256-way softmax has 786,432 for a colour image of 32 x 32
LABEL_STREAM = 1 << 40  # added to a drawing's seed: the stream of its classes, apart from that of its pixels

Labels = int | Tensor | None
"""One class for all images, one for each ([N], long), or none."""


class AutoregressiveConfig(BaseConfig):
    """Fields that all autoregressive models have."""

    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="arithmetic of training: 32-bit, bfloat16, or bfloat16 where the processor has it"
    )
    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="the optimizer", json_schema_extra=TRAINING)
    binarisation: Binarisation = Field(
        "dynamic", description="how grey becomes black or white, with 2 levels", json_schema_extra=TRAINING
    )
    levels: int = Field(2, ge=2, le=256, description="values of a sub-pixel: 2 is black or white, more a softmax")


class AutoregressiveModel(Model):
    """Base of the family; see the module docstring."""

    family: ClassVar[Family] = "autoregressive"
    depth_field: ClassVar[str]
    """The config field that says how deep the network is: the receptive field grows with it."""
    terms: ClassVar[dict[str, str]] = {
        "nll": "negative log-likelihood (nats per image)",
        "accuracy": "share of sub-pixels whose likeliest value is the true one",
    }

    # --- what a subclass gives ----------------------------------------------------------------------------------------

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Coded images [N, C, H, W], classes [N] -> logits: [N, C, H, W] with 2 levels, else [N, C, levels, H, W]."""
        raise NotImplementedError(f"{type(self).__name__} has no forward pass")

    def state(self, batch: int, labels: Tensor | None = None) -> CausalState:
        """The network's memory while ``batch`` images are drawn, of the given classes [batch]."""
        raise NotImplementedError(f"{type(self).__name__} cannot draw")

    def order(self) -> Tensor:
        """When each sub-pixel is drawn: its rank, [C, H, W], 0 the first. Here raster order, the channels in turn."""
        channels, height, width = self.config.shape
        return torch.arange(self.config.dimensions).view(height, width, channels).permute(2, 0, 1)

    def value_nll(self, outputs: Tensor, coded: Tensor) -> Tensor:
        """-ln p(value | all before it) from what `forward` gave, [N, C, H, W] nats.

        In float32 at least, whatever the arithmetic of the network.
        """
        outputs = outputs if outputs.dtype == torch.float64 else outputs.float()
        if self.config.levels == 2:
            return F.binary_cross_entropy_with_logits(outputs, coded, reduction="none")
        # The levels go last, where a convolution in channels_last memory has put them already: nothing is copied, and the
        # softmax reads one run of numbers for each sub-pixel.
        n, c, levels, h, w = outputs.shape
        rows = outputs.permute(0, 3, 4, 1, 2).reshape(-1, levels)
        nll = F.cross_entropy(rows, self.values(coded).permute(0, 2, 3, 1).reshape(-1), reduction="none")
        return nll.view(n, h, w, c).permute(0, 3, 1, 2)

    def level_log_probs(self, outputs: Tensor, coded: Tensor) -> Tensor:
        """ln p of every value at every sub-pixel, [N, C, levels, H, W], from what `forward` gave for these images."""
        if self.config.levels == 2:  # sigmoid(l) is the softmax of (0, l)
            outputs = torch.stack([torch.zeros_like(outputs), outputs], 2)
        return outputs.log_softmax(2)

    def likeliest(self, outputs: Tensor, coded: Tensor) -> Tensor:
        """The likeliest value of every sub-pixel, 0 .. levels - 1, [N, C, H, W]."""
        return (outputs > 0).long() if self.config.levels == 2 else outputs.argmax(2)

    # --- coding, training, likelihood ---------------------------------------------------------------------------------

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        kind = torch.optim.Adam if self.config.optimizer == "adam" else torch.optim.RMSprop
        return {"network": kind(self.parameters(), lr=self.config.learning_rate)}

    def code(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images in [0, 1] -> the values the network knows, in [0, 1] too: k / (levels - 1).

        Without a generator the draws of ``dynamic`` and ``static`` come from the fixed seed. Coding twice is coding
        once.
        """
        if self.config.levels == 2:
            return binarise(images, self.config.binarisation, generator)
        return to_levels(images, self.config.levels).to(images.dtype) / (self.config.levels - 1)

    def values(self, coded: Tensor) -> Tensor:
        """Coded images -> 0 .. levels - 1, int64."""
        return (coded * (self.config.levels - 1)).round().long()

    def _terms(self, coded: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean nats per image, and the share of sub-pixels whose likeliest value is the true one."""
        outputs = self(coded, labels if self.classes else None)
        loss = self.value_nll(outputs, coded).sum((1, 2, 3)).mean()
        with torch.no_grad():
            right = (self.likeliest(outputs, coded) == self.values(coded)).float().mean()
        return loss, right

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        loss, right = self._terms(self.code(images, optimizers.generator), labels)
        optimizers.minimise("network", loss)
        return {"nll": loss.detach(), "accuracy": right}

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        with self.evaluating():
            loss, right = self._terms(self.code(images, generator), labels)
        return {"nll": loss, "accuracy": right}

    @torch.no_grad()
    def log_prob(self, images: Tensor, label: Labels = None) -> Tensor:
        """ln p(x) of each image, [N] nats, exact. Grey images are coded first, with the fixed seed.

        With a label (one for all, or [N]) of a class-conditional model: ln p(x | y); without one the marginal.
        """
        self._check_shape(images)
        coded = self.code(images)
        if not self.classes or label is not None:
            return self._pixel_nll(coded, self.checked_labels(label, len(images))).sum((1, 2, 3)).neg()
        return self._per_class(coded).sum((2, 3, 4)).neg().logsumexp(0) - math.log(self.classes)

    @torch.no_grad()
    def pixel_distribution(self, images: Tensor, label: Labels = None) -> Tensor:
        """p(value | everything before it) at each sub-pixel of the coded images, [N, C, levels, H, W].

        Without a label, a class-conditional model weighs its classes at each sub-pixel by their posterior given all
        before it, so the product over the sub-pixels is the marginal of `log_prob`.
        """
        self._check_shape(images)
        coded = self.code(images)
        if not self.classes or label is not None:
            return self._level_probs(coded, self.checked_labels(label, len(images)))
        return torch.cat([self._mixture(coded[part]) for part in self._chunks(len(coded), self.classes)])

    def _mixture(self, coded: Tensor) -> Tensor:
        """`pixel_distribution` over the classes: [N, C, levels, H, W] from one pass of the network for each class."""
        n = len(coded)
        of_class = torch.stack([self._level_probs(coded, self.checked_labels(y, n)) for y in range(self.classes)])
        truth = self.values(coded)[None, :, :, None].expand(self.classes, -1, -1, -1, -1, -1)
        weights = posterior_before(-of_class.gather(3, truth).squeeze(3).log())  # [K, N, C, H, W]
        return (weights.unsqueeze(3) * of_class).sum(0)

    def _pixel_nll(self, coded: Tensor, labels: Tensor | None) -> Tensor:
        """-ln p(value | all before it, class), [N, C, H, W], a chunk of images at a time."""
        found = []
        with self.evaluating(), full_precision(coded.device):
            for part in self._chunks(len(coded)):
                x, y = coded[part], None if labels is None else labels[part]
                found.append(self.value_nll(self(x, y), x))
        return torch.cat(found)

    def _chunks(self, n: int, passes: int = 1) -> list[slice]:
        """n images in parts of which so many forward passes at once fit into memory."""
        size = max(1, min(CHUNK, CHUNK_LOGITS // (self.config.dimensions * self.config.levels * passes)))
        return [slice(start, start + size) for start in range(0, n, size)]

    def _per_class(self, coded: Tensor) -> Tensor:
        """`_pixel_nll` under every class in turn, [K, N, C, H, W]."""
        n = len(coded)
        return torch.stack([self._pixel_nll(coded, self.checked_labels(y, n)) for y in range(self.classes)])

    def _level_probs(self, coded: Tensor, labels: Tensor | None) -> Tensor:
        found = []
        with self.evaluating(), full_precision(coded.device):
            for part in self._chunks(len(coded)):
                x, y = coded[part], None if labels is None else labels[part]
                found.append(self.level_log_probs(self(x, y), x).exp())
        return torch.cat(found)

    # --- drawing ------------------------------------------------------------------------------------------------------

    def sample(self, n: int, *, seed: int = 0, label: Labels = None, temperature: float = 1.0) -> Tensor:
        """n images [n, C, H, W] in [0, 1]. Image i depends on the seed and i, not on n.

        Without a label, a class-conditional model draws a class for each image.
        """
        check_temperature(temperature)
        labels = self.checked_labels(label, n)
        if self.classes and labels is None:
            stream = self.generator(seed + LABEL_STREAM)
            labels = torch.randint(self.classes, (n,), generator=stream, device=stream.device).to(self.device)
        canvas = torch.zeros(n, *self.config.shape, device=self.device, dtype=self._dtype)
        known = torch.zeros(self.config.shape[1:], dtype=torch.bool)
        return self._draw_all(canvas, known, labels, seed, temperature)

    def complete(
        self, images: Tensor, known: Tensor, n: int, *, seed: int = 0, label: Labels = None, temperature: float = 1.0
    ) -> Tensor:
        """n completions of each image, [N, n, C, H, W]. ``known`` pixels [H, W] stay as they are coded.

        Temperature 1 draws from the model, lower ones nearer to the likeliest values, and 0 takes these everywhere.
        """
        canvas = self._canvas(images, known, n, temperature)
        labels = self._completion_labels(canvas, known, label, len(images), n, seed)
        return self._draw_all(canvas, known, labels, seed, temperature).unflatten(0, (len(images), n))

    def complete_rows(
        self, images: Tensor, known: Tensor, n: int, *, seed: int = 0, label: Labels = None, temperature: float = 1.0
    ) -> Iterator[tuple[int, Tensor]]:
        """The same while it happens: (row just finished, images so far [N, n, C, H, W]); 0 is what is not drawn yet."""
        canvas = self._canvas(images, known, n, temperature)
        labels = self._completion_labels(canvas, known, label, len(images), n, seed)
        draws = PixelDraws(self._uniforms(len(canvas), seed), self.config.levels, temperature)
        for row in self.walk(canvas, known, labels, draws):
            yield row, canvas.clone().unflatten(0, (len(images), n))

    def checked_labels(self, label: Labels, n: int) -> Tensor | None:
        """The classes of n images, [n]; None where the model knows none or none is asked for."""
        if label is None:
            return None
        if not self.classes:
            self.refuse_label(int(label) if isinstance(label, int) else int(label.flatten()[0]))
        labels = torch.as_tensor(label, device=self.device, dtype=torch.long).expand(n)
        if labels.device.type != "meta" and not bool(((labels >= 0) & (labels < self.classes)).all()):
            raise GenlibError(
                f"This {self.name} knows the labels 0 to {self.classes - 1}, not {label}: choose one of them."
            )
        return labels

    def _completion_labels(
        self, canvas: Tensor, known: Tensor, label: Labels, images: int, n: int, seed: int
    ) -> Tensor | None:
        """A class for each of the images x n canvases: the given one, or drawn from p(y | pixels before the first hidden)."""
        if not self.classes:
            return self.checked_labels(label, len(canvas))
        if label is not None:
            given = self.checked_labels(label, images)
            assert given is not None
            return given.repeat_interleave(n)
        first = int((~known).flatten().long().argmax()) if bool((~known).any()) else known.numel()
        seen = self._per_class(canvas[::n]).flatten(3)[..., :first].sum((2, 3))  # [K, images]
        chances = seen.neg().softmax(0).repeat_interleave(n, 1)  # [K, images n]
        stream = self.generator(seed + LABEL_STREAM)
        u = torch.rand(len(canvas), generator=stream, device=stream.device).to(self.device)
        return (u >= chances.cumsum(0)[:-1]).sum(0)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _check_shape(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1:] != self.config.shape:
            wanted, got = (" x ".join(map(str, shape)) for shape in (self.config.shape, images.shape[1:]))
            raise GenlibError(
                f"This {self.name} works on images of {wanted} (channels, height, width), not {got}: resize them first."
            )

    def _canvas(self, images: Tensor, known: Tensor, n: int, temperature: float) -> Tensor:
        """n coded copies of each image, zero where nothing is known, [N * n, C, H, W]."""
        check_temperature(temperature)
        self._check_shape(images)
        if known.shape != self.config.shape[1:]:
            wanted, got = (" x ".join(map(str, shape)) for shape in (self.config.shape[1:], known.shape))
            raise GenlibError(f"The mask of known pixels must be {wanted} like the image, not {got}.")
        coded = self.code(images.to(self.device, self._dtype))
        return torch.where(known.to(coded.device), coded, 0).repeat_interleave(n, 0)

    def _draw_all(self, canvas: Tensor, known: Tensor, labels: Tensor | None, seed: int, temperature: float) -> Tensor:
        """The canvas [B, C, H, W] with all that is unknown drawn, in place, a chunk of images at a time."""
        u = self._uniforms(len(canvas), seed)
        for start in range(0, len(canvas), CHUNK):
            part = slice(start, start + CHUNK)
            of_part = None if labels is None else labels[part]
            draws = PixelDraws(u[..., part], self.config.levels, temperature)
            for _ in self.walk(canvas[part], known, of_part, draws):
                pass
        return canvas

    def _uniforms(self, images: int, seed: int) -> Tensor:
        """The random numbers of a drawing, [H, W, C, images]."""
        return uniforms(images, self.config.shape, self.generator(seed)).to(self.device)

    def walk(self, canvas: Tensor, known: Tensor, labels: Tensor | None, draws: Draws) -> Iterator[int]:
        """Fill what is not ``known`` [H, W] of coded images [B, C, H, W], in place, with what ``draws`` makes of the logits,
        in the model's `order`; ``labels`` [B]. Yields each row that is finished."""
        with self.evaluating():
            state = self.state(len(canvas), labels)
        return draw_rows(state, canvas, known, draws)


def posterior_before(nll: Tensor) -> Tensor:
    """-ln p(value | before it, class) [K, N, C, H, W] -> p(class | all before the sub-pixel), same shape.

    The order is raster over the pixels, the channels in turn within each; classes are equally frequent beforehand.
    """
    k, n, c, h, w = nll.shape
    in_order = nll.permute(0, 1, 3, 4, 2).flatten(2)  # [K, N, H W C]
    before = in_order.cumsum(2) - in_order
    return before.neg().softmax(0).view(k, n, h, w, c).permute(0, 1, 4, 2, 3)
