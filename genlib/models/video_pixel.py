"""`video-pixel`: a video pixel network: Kalchbrenner et al. 2016, arXiv:1610.00527.

The factorisation of a PixelCNN over time as well: with F_t the frames of a film,

    p(film) = prod_t prod_i p(x_{t,i} | x_{t,<i}, F_1, ..., F_{t-1})                              (section 2, eq. 1)

A film is one tall image, its frames one under the other. Raster order over it is this order, so the likelihood, drawing, completion
(which goes on with a film whose first frames are known) and everything else of genlib/models/autoregressive.py hold as they stand.

    encoder      e_{t-1} = CNN(F_{t-1})                    residual blocks of dilated convolutions; no place is ever averaged away
    memory       s_t     = ConvLSTM(e_{t-1}, s_{t-1})      genlib/layers/conv_lstm.py; the frame before the first is blank
    decoder      p(F_t | F_<t) = gated PixelCNN of F_t, every layer told s_t at each place

The decoder is that of genlib/models/gated_pixelcnn.py under a map as its condition.

Where we differ from the paper: it is a small network for small films; plain residual blocks in the place of residual multiplicative
blocks, and a decoder of two stacks without a blind spot in the place of masked convolutions.
"""

import itertools
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.layers.conv_lstm import ConvLSTM
from genlib.layers.precision import full_precision
from genlib.models.autoregressive import AutoregressiveModel
from genlib.models.contract import Preset
from genlib.models.gated_pixelcnn import GatedPixelCNNConfig, GatedStacks
from genlib.sampling.film import FilmState
from genlib.sampling.gated import GatedStackState


class Block(nn.Module):
    """x + conv(relu(conv(relu(x)))), both 3 x 3 with a dilation; maps keep their size. [N, maps, H, W] -> the same."""

    def __init__(self, maps: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(maps, maps, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(maps, maps, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x.relu()).relu_())


class VideoPixel(AutoregressiveModel):
    """Frame encoders, a memory over time, a decoder; see the module docstring."""

    name: ClassVar[str] = "video-pixel"
    title: ClassVar[str] = "Video pixel network"
    depth_field: ClassVar[str] = "layers"
    paper: ClassVar[str] = "Kalchbrenner et al. 2016, Video Pixel Networks, arXiv:1610.00527"

    class Config(GatedPixelCNNConfig):
        """See `GatedPixelCNNConfig` for the decoder's fields."""

        frame: int = Field(
            20, ge=1, le=128, description="rows of a frame; the last frame is cut off where the image's height ends"
        )
        encoder: int = Field(16, ge=1, le=512, description="feature maps of the frame encoder")
        encoder_blocks: int = Field(
            2, ge=1, le=16, description="its residual blocks, with dilations 1, 2, 4, 8, 1, 2 ..."
        )
        memory: int = Field(16, ge=1, le=512, description="feature maps of the convolutional LSTM over time")
        told: Literal["frames", "nothing"] = Field(
            "frames", description="what the decoder is told: the frames before, or nothing of them"
        )

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Watch the nats of each frame: the first must be drawn from nothing; the second holds the question where the digit goes; "
            "from the third on it only has to go on, and costs next to nothing.",
            {"hidden": 16, "layers": 5, "first_kernel": 7, "head": 32, "batch_size": 16, "epochs": 3},
        ),
        "paper": Preset(
            "The sizes of the paper's network for Moving MNIST, which has frames of 64 x 64: eight encoder blocks, 256 maps in the "
            "memory and twelve decoder layers. Far too large for a CPU.",
            {
                "hidden": 128, "layers": 12, "first_kernel": 7, "head": 768, "encoder": 256, "encoder_blocks": 8, "memory": 256,
                "batch_size": 64, "learning_rate": 3e-4, "optimizer": "rmsprop", "epochs": 100,
            },
        ),
        "quick": Preset(
            "Within some minutes the second frame has the digit of the first, then it also is where it should be.",
            {
                "hidden": 12, "layers": 4, "first_kernel": 5, "head": 16, "encoder": 12, "memory": 12, "batch_size": 16,
                "learning_rate": 5e-3, "epochs": 1,
            },
        ),
        "no-memory": Preset(
            "The decoder is told nothing of the frames before: each frame is drawn by itself. Every frame is a fair digit, but another "
            "one each time, and the last costs as many nats as the first. Cure: told = frames.",
            {
                "hidden": 12, "layers": 4, "first_kernel": 5, "head": 16, "encoder": 12, "memory": 12, "batch_size": 16,
                "learning_rate": 5e-3, "epochs": 1, "told": "nothing",
            },
            failure=True,
        ),
    }  # fmt: skip

    def __init__(self, config: "VideoPixel.Config") -> None:
        super().__init__(config)
        self.encoder: nn.Sequential | None = None
        self.memory: ConvLSTM | None = None
        if config.told == "frames":
            dilations = itertools.islice(itertools.cycle((1, 2, 4, 8)), config.encoder_blocks)
            self.encoder = nn.Sequential(
                nn.Conv2d(config.channels, config.encoder, 3, padding=1),
                *(Block(config.encoder, dilation) for dilation in dilations),
            )
            self.memory = ConvLSTM(config.encoder, config.memory)
        self.decoder = GatedStacks(config, config.memory if config.told == "frames" else 0)
        self.to(memory_format=torch.channels_last)  # convolutions on a CPU are a third faster so

    def parts(self) -> dict[str, nn.Module]:
        found = {"encoder": self.encoder, "memory": self.memory, "decoder": self.decoder}
        return {name: part for name, part in found.items() if part is not None}

    @property
    def frames(self) -> int:
        """Frames of a film, the last perhaps cut off."""
        return -(-self.config.height // self.config.frame)

    def to_frames(self, x: Tensor) -> Tensor:
        """Films [N, C, H, W] -> frames [N, T, C, h, W]; what is cut off of the last one is blank."""
        frame = self.config.frame
        padded = F.pad(x, (0, 0, 0, self.frames * frame - x.shape[2]))
        return padded.unflatten(2, (self.frames, frame)).transpose(1, 2)

    def told(self, before: Tensor) -> Tensor | None:
        """What the decoder is told at each frame, [N, T, memory, h, W], of the frames one earlier each [N, T, C, h, W]."""
        if self.encoder is None or self.memory is None:
            return None
        n, frames = before.shape[:2]
        flat = before.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        encoded = self.encoder(flat).unflatten(0, (n, frames))
        state, cell = self._nothing_yet(before[:, 0])
        states = []
        for t in range(frames):
            state, cell = self.memory(encoded[:, t], state, cell)
            states.append(state)
        return torch.stack(states, 1)

    def _nothing_yet(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """State and cell of the memory before a film, for frames [N, C, h, W]."""
        zeros = frame.new_zeros(len(frame), self.config.memory, *frame.shape[2:])
        return zeros, zeros

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        frames = self.to_frames(x)
        told = self.told(torch.cat((torch.zeros_like(frames[:, :1]), frames[:, :-1]), 1))
        logits = self.decoder(frames.flatten(0, 1), None if told is None else told.flatten(0, 1))
        logits = logits.unflatten(0, frames.shape[:2]).movedim(1, -3)  # [N, C, (levels), T, h, W]
        return logits.flatten(-3, -2)[..., : self.config.height, :]

    @torch.no_grad()
    def state(self, batch: int, labels: Tensor | None = None) -> FilmState:
        config = self.config
        blank = torch.zeros(batch, config.channels, config.frame, config.width, device=self.device, dtype=self._dtype)
        state, cell = self._nothing_yet(blank)

        @torch.inference_mode()
        def following(frame: Tensor) -> GatedStackState:
            nonlocal state, cell
            told = None
            if self.encoder is not None and self.memory is not None:
                with full_precision(frame.device):
                    encoded = self.encoder(frame.contiguous(memory_format=torch.channels_last))
                    told, cell = self.memory(encoded, state, cell)
                state = told
            return self.decoder.state(batch, (config.frame, config.width), told)

        return FilmState(following, blank)

    def nats_by_frame(self, images: Tensor) -> Tensor:
        """-ln p of each frame given those before it, [N, T] nats; they sum to -`log_prob`."""
        self._check_shape(images)
        with torch.no_grad():
            nll = self._pixel_nll(self.code(images), None)
        return self.to_frames(nll).sum((2, 3, 4))
