"""`wgan-gp`: a Wasserstein GAN whose critic is held to slope one by a gradient penalty.

Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville 2017, "Improved Training of Wasserstein GANs" (arXiv:1704.00028). Algorithm 1:
for each step of the generator the critic C takes five, each on fresh images and fresh noise, down the gradient of

    E[ C(G(z)) ] - E[ C(x) ] + 10 E[ (||grad C(x^)|| - 1)^2 ]      (eq. 3)

with x^ at random between a real and a generated image; then G moves down -E[ C(G(z)) ]. Adam with betas 0 and 0.9. The
penalty is about each image alone, so the critic has no batch norm (section 4, "No critic batch normalization").

The generator is that of `genlib.models.dcgan_bn`, and the critic is its discriminator without batch norm and without sigmoid.
A training step's batch holds the images of all five critic steps: 320 are five times the paper's 64.
"""

from typing import ClassVar

from pydantic import Field

from genlib.models.adversarial import WassersteinModel
from genlib.models.contract import TRAINING, Preset
from genlib.models.dcgan_bn import Discriminator, Generator, PairConfig, initialise


class WGANGP(WassersteinModel):
    """Generator and critic; see the module docstring."""

    name: ClassVar[str] = "wgan-gp"
    title: ClassVar[str] = "Wasserstein GAN with gradient penalty"
    paper: ClassVar[str] = (
        "Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville 2017, Improved Training of Wasserstein GANs, arXiv:1704.00028"
    )

    class Config(PairConfig):
        learning_rate: float = Field(5e-5, gt=0, le=1, description="step size of both Adam optimizers")
        batch_size: int = Field(
            320, ge=2, le=4096, description="images per training step, shared among the critic's steps"
        )
        discriminator_steps: int = Field(
            5, ge=1, le=20, description="steps of the critic per training step", json_schema_extra=TRAINING
        )
        divide_batch: bool = Field(
            True,
            description="each step of the critic takes its own share of the batch; off: each sees the whole batch",
            json_schema_extra=TRAINING,
        )
        beta1: float = Field(0.0, ge=0, lt=1, description="Adam's momentum, for both", json_schema_extra=TRAINING)
        beta2: float = Field(
            0.9, ge=0, lt=1, description="Adam's decay of the squared gradients, for both", json_schema_extra=TRAINING
        )
        gradient_penalty: float = Field(
            10.0,
            ge=0,
            le=1000,
            description="weight of the penalty on slopes other than one; 0 switches it off",
            json_schema_extra=TRAINING,
        )
        critic_batch_norm: bool = Field(
            False, description="batch norm in the critic, which makes an image's score depend on the others"
        )

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "The earth mover's distance falls smoothly while the pictures get better: the first adversarial loss that says so.",
            {"epochs": 100, "ema_decay": 0.999},
        ),
        "plane": Preset(
            "Two numbers of noise: the same smooth curve ends higher, as a plane cannot hold all digits.",
            {"latent": 2, "epochs": 20, "ema_decay": 0.999},
        ),
        "paper": Preset(
            "The paper's step size of 1e-4 and 128 numbers of noise: slow, steady, and no mode is lost.",
            {"learning_rate": 1e-4, "latent": 128, "epochs": 100},
        ),
        "quick": Preset(
            "Half the channels, larger steps: the slope reaches 1 within fifty steps, digits come within minutes.",
            {
                "generator_width": 32,
                "discriminator_width": 32,
                "learning_rate": 5e-4,
                "beta1": 0.5,
                "batch_size": 160,
                "epochs": 5,
                "ema_decay": 0.99,
            },
        ),
        "colour": Preset(
            "512 numbers of noise for photographs; the distance is larger than on digits, and still falls when the pictures seem done.",
            {"latent": 512, "epochs": 100, "ema_decay": 0.999},
        ),
        "no-penalty": Preset(
            "Nothing holds the critic's slope: it grows without end, and with it the scores; the distance means nothing any more "
            "and the pictures decay. Cure: gradient_penalty = 10, or spectral_norm.",
            {
                "gradient_penalty": 0.0,
                "generator_width": 32,
                "discriminator_width": 32,
                "learning_rate": 1e-3,
                "batch_size": 160,
                "epochs": 5,
            },
            failure=True,
        ),
        "batch-norm-critic": Preset(
            "With batch norm the score of an image depends on its neighbours, so the penalty holds slopes that nobody uses: the "
            "distance in validation leaves that in training. Cure: critic_batch_norm off.",
            {
                "critic_batch_norm": True,
                "generator_width": 32,
                "discriminator_width": 32,
                "learning_rate": 1e-3,
                "batch_size": 160,
                "epochs": 5,
            },
            failure=True,
        ),
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator_net = Generator(config.shape, config.latent, config.generator_width)
        initialise(self.generator_net)
        self.discriminator_net = Discriminator(
            config.shape,
            config.discriminator_width,
            config.discriminator_hidden,
            batch_norm=config.critic_batch_norm,
            bias=False,
        )
        self.prepare()
