"""`one-shot`: one-shot generalization: Rezende, Mohamed, Danihelka, Gregor & Wierstra 2016, arXiv:1603.05106.

DRAW that is shown one image x' of a class and paints other images of that class, also of classes it never trained on. At
each of T steps (section 3.2, eqs. 4 to 8)

    latent      z_t ~ N(0, 1)
    look        v_t = read(x', h_{t-1}^dec)
    decode      h_t = LSTM([z_t, v_t], h_{t-1})
    write       c_t = c_{t-1} + write(h_t)

and p(x | z, x') = Bernoulli(sigmoid(c_T)). The inference network reads x and the error x - sigmoid(c_{t-1}) as DRAW's does,
and sees v_t as well: q(z_t | x, x', z_<t). The recurrence stands in genlib/models/draw_core.py, the hands in
genlib/models/draw.py. The loss is the bound on log p(x | x') for two different images x, x' of one label.

Of the paper's choices this is the additive canvas (eq. 7), not the gated one, and the hidden state alone, without a hidden
canvas. Where the paper reads and writes through a spatial transformer, here are DRAW's grids of Gaussian filters: a spatial
transformer that does not turn or shear, but smooths.

**Pasting** (``paste``, not the paper's). An LSTM's state is a narrow passage for a shape that it has never met. So what is read of
the example may also go straight onto the canvas, through a writing box of its own: c_t = c_{t-1} + write(h_t) + write(v_t). Each step
then moves a piece of the example to where the codes want it.

**Pairs.** A training batch has the images of one label side by side (`together`); each is painted with the other of its
pair as example. **New characters from old.** Omniglot has few characters, so both images of a pair may be turned by the same
quarter turns and mirrored (a turned character is another character: Santoro et al. 2016, arXiv:1605.06065), and each is warped a
little on its own, as another hand might have written it. Neither is the paper's.

**Without an example** the model is the mixture of p(x | x') over a small bank of training images, the first it was trained
on: `sample` draws an example for each picture, and the bounds take the example as one more latent, drawn from its prior.
"""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from genlib.data.pairs import next_of_class
from genlib.errors import GenlibError
from genlib.models.contract import TRAINING, Bound, Optimizers, Preset
from genlib.models.draw import DRAW
from genlib.models.draw_core import DrawModel, DrawTrace

BANK = 64  # training images that serve as examples where none is given


class OneShot(DRAW):
    """Paints images like an example; see the module docstring."""

    class Config(DRAW.Config):
        example_size: int = Field(7, ge=1, le=28, description="filters per side of the grid that reads the example")
        paste: bool = Field(
            False, description="what is read of the example also goes onto the canvas, through a box of its own"
        )
        turns: bool = Field(
            True,
            description="turn and mirror both images of a pair alike, so that there are eight times as many characters",
            json_schema_extra=TRAINING,
        )
        warp: float = Field(
            0.0,
            ge=0,
            le=0.5,
            description="how far each training image is sheared, stretched and moved on its own, as a part of its size",
            json_schema_extra=TRAINING,
        )

    name: ClassVar[str] = "one-shot"
    title: ClassVar[str] = "One-shot generalization"
    paper: ClassVar[str] = (
        "Rezende, Mohamed, Danihelka, Gregor & Wierstra 2016, One-Shot Generalization in Deep Generative Models, "
        "arXiv:1603.05106"
    )
    terms: ClassVar[dict[str, str]] = DrawModel.terms | {
        "reconstruction": "-E_q[log p(x | z, x')], the cost of the pixels given codes and example (nats per image)",
        "elbo": "evidence lower bound on log p(x | x'), with beta = 1 (nats per image)",
    }
    together: ClassVar[int] = 2
    presets: ClassVar[dict[str, Preset]] = {
        "paper": Preset(
            "Eighty small steps, as in the paper's best model: watch the box on the example run along the stroke that is "
            "about to be written.",
            {
                "steps": 80,
                "hidden": 400,
                "latent": 4,
                "read_size": 12,
                "write_size": 12,
                "example_size": 12,
                "binarisation": "threshold",
                "batch_size": 24,
                "learning_rate": 3e-4,
                "epochs": 500,
                "ema_decay": 0.999,
            },
        ),
        "tutorial": Preset(
            "Half an hour of one core: first every picture is the example out of focus, then its strokes part, bend and move. "
            "Watch the validation bound: that is an alphabet it never learns from.",
            {
                "steps": 16,
                "latent": 16,
                "read_size": 5,
                "write_size": 5,
                "example_size": 12,
                "paste": True,
                "binarisation": "threshold",
                "warp": 0.1,
                "batch_size": 32,
                "epochs": 100,
                "ema_decay": 0.999,
                "schedule": "cosine",
            },
        ),
        "quick": Preset(
            "Eight steps and half the units: within minutes the ink is where the example's is, blurred, and about as wide.",
            {
                "steps": 8,
                "hidden": 128,
                "latent": 16,
                "read_size": 5,
                "write_size": 5,
                "example_size": 12,
                "paste": True,
                "binarisation": "threshold",
                "warp": 0.1,
                "batch_size": 32,
                "epochs": 20,
                "schedule": "cosine",
            },
        ),
        "memorised": Preset(
            "No turning, no warping, and the step size never falls: the bound on training images goes on rising while that "
            "on new alphabets falls. Cure: turns on and warp = 0.1.",
            {
                "steps": 8,
                "hidden": 512,
                "latent": 16,
                "read_size": 5,
                "write_size": 5,
                "binarisation": "threshold",
                "turns": False,
                "warp": 0.0,
                "batch_size": 32,
                "epochs": 100,
            },
            failure=True,
        ),
        "by-heart": Preset(
            "Nothing is pasted: all that is seen of the example must pass through the state, and the codes soon say more of the picture "
            "than the example does. It writes characters, but seldom that of the example. Cure: paste on.",
            {
                "steps": 16,
                "latent": 16,
                "read_size": 5,
                "write_size": 5,
                "binarisation": "threshold",
                "warp": 0.1,
                "batch_size": 32,
                "epochs": 140,
                "ema_decay": 0.999,
                "schedule": "cosine",
            },
            failure=True,
        ),
    }

    bank: Tensor
    banked: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config, config.example_size, config.paste)
        self.register_buffer("bank", torch.zeros(BANK, *config.shape, dtype=torch.uint8))
        self.register_buffer("banked", torch.zeros((), dtype=torch.long))  # how many of them are there

    # Training

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        self._deposit(images[:: self.together])
        images = self._varied(images, optimizers.generator)
        terms = self._pair_terms(images, labels, optimizers.generator)
        optimizers.minimise("network", terms["loss"])
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return self._pair_terms(images, labels, generator)

    @torch.no_grad()
    def distribution_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        examples = self._partners(images, labels, generator)
        return self._kl_per_latent(self._targets(images, generator), self._targets(examples, generator), generator)

    def _pair_terms(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        examples = self._partners(images, labels, generator)
        x, given = self._targets(images, generator), self._targets(examples, generator)
        return self._terms(self._bound(x, generator, given))

    def _deposit(self, images: Tensor) -> None:
        """Fill the bank with the first training images."""
        held = int(self.banked)
        if held < BANK:
            fresh = images[: BANK - held]
            self.bank[held : held + len(fresh)] = (fresh * 255).round().to(torch.uint8)
            self.banked += len(fresh)

    def _varied(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Pairs as other characters, and each image as by another hand; see the module docstring. [N, C, H, W]."""
        turns, warp = self.config.turns, self.config.warp
        if not (turns or warp):
            return images
        n, device = len(images), images.device
        maps = torch.eye(2, 3, device=device).repeat(n, 1, 1)
        if turns:  # square pictures only are turned by a quarter; others by a half
            pairs = math.ceil(n / self.together)
            quarters = torch.randint(4, (pairs,), generator=generator, device=device)
            mirrored = torch.randint(2, (pairs,), generator=generator, device=device) * 2 - 1
            if self.config.height != self.config.width:
                quarters = quarters // 2 * 2
            angle = quarters * (math.pi / 2)
            turned = torch.stack((angle.cos() * mirrored, -angle.sin(), angle.sin() * mirrored, angle.cos()), 1)
            maps[:, :, :2] = turned.round().view(-1, 2, 2).repeat_interleave(self.together, 0)[:n]
        if warp:
            maps = maps + warp * (2 * torch.rand(n, 2, 3, generator=generator, device=device) - 1)
        where = F.affine_grid(maps, list(images.shape), align_corners=False)
        return F.grid_sample(images, where, align_corners=False).clamp_(0, 1)

    def _partners(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """For each image the next of its label in the batch, [N, C, H, W]; one that stands alone gets a bank image."""
        partner = next_of_class(labels)
        alone = partner == torch.arange(len(labels), device=labels.device)
        return torch.where(alone[:, None, None, None], self._from_bank(len(images), generator), images[partner])

    def _from_bank(self, n: int, generator: torch.Generator) -> Tensor:
        """n examples drawn from the bank, [n, C, H, W] in [0, 1]; blank ones before any training."""
        if self.bank.device.type == "meta":
            return self.bank[:1].expand(n, -1, -1, -1) / 255
        held = max(1, int(self.banked))
        return self.bank[torch.randint(held, (n,), generator=generator, device=self.device)] / 255

    # Without an example: an example from the bank

    @torch.no_grad()
    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction and KL given one example of the bank for each image, [N] nats each: a bound on log p(x)."""
        generator = self.generator(seed)
        examples = self._scored(self._from_bank(len(images), generator))
        return self._bounds(self._scored(images), examples, generator)

    @torch.no_grad()
    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """log 1/k sum_i p(x, z_i | x'_i) / q(z_i | x, x'_i) with k draws of the example too, [N] nats."""
        generator = self.generator(seed)
        examples = self._scored(self._from_bank(k * len(images), generator))
        return self._iwae(self._scored(images).repeat_interleave(k, 0), examples, k, generator)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n pictures, each like an example that is drawn from the bank, [n, C, H, W] in [0, 1]."""
        self.refuse_label(label)
        generator = self.generator(seed)
        noise = self.noise(n, generator) * temperature
        return self._pictures(noise, self._scored(self._from_bank(n, generator)))

    @torch.no_grad()
    def trace(
        self,
        images: Tensor | None = None,
        n: int = 1,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        example: Tensor | None = None,
    ) -> DrawTrace:
        """Every step of generating n images, or of reading the given ones [N, C, H, W] (then n is not used).

        ``example`` is one [1, C, H, W] or one for each picture; without it they come from the bank. With the same seed the
        last canvas is the picture of `sample` (or of `sample_like`), or ``kl`` sums to `bound_given`'s.
        """
        if images is not None:
            images, n = self._scored(images), len(images)
        generator = self.generator(seed)
        noise = self.noise(n, generator)
        given = self._scored(self._from_bank(n, generator)) if example is None else self._given(example, n)
        return self._trace(noise * temperature if images is None else noise, images, given)

    # Conditioning by example

    @torch.no_grad()
    def sample_like(self, example: Tensor, n: int, *, seed: int = 0, temperature: float = 1.0) -> Tensor:
        """n pictures like each example [N, C, H, W] in [0, 1], [N, n, C, H, W] in [0, 1]."""
        given = self._given(example, len(example)).repeat_interleave(n, 0)
        noise = self.noise(len(given), self.generator(seed)) * temperature
        return self._pictures(noise, given).view(-1, n, *self.config.shape)

    @torch.no_grad()
    def bound_given(self, images: Tensor, example: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction and KL of each image given its example, [N] nats each: together a bound on -log p(x | x')."""
        return self._bounds(self._scored(images), self._given(example, len(images)), self.generator(seed))

    @torch.no_grad()
    def iwae_given(self, images: Tensor, example: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """log 1/k sum_i p(x, z_i | x') / q(z_i | x, x') with k draws z_i of q, [N] nats (Burda et al. 2016, eq. 8)."""
        given = self._given(example, len(images)).repeat_interleave(k, 0)
        return self._iwae(self._scored(images).repeat_interleave(k, 0), given, k, self.generator(seed))

    def _given(self, example: Tensor, n: int) -> Tensor:
        """Checked examples as the model sees them, one for each of n pictures."""
        if example.shape[1:] != self.config.shape or len(example) not in (1, n):
            raise GenlibError(
                f"{self.name} was given examples of shape {tuple(example.shape)} for {n} pictures: give one of shape "
                f"(1, {', '.join(map(str, self.config.shape))}), or one for each picture."
            )
        return self._scored(example).expand(n, -1, -1, -1)
