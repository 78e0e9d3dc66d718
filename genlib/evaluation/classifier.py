"""The judge: a small classifier of a data set, whose features are the common yardstick of all models trained on it.

Distances between sets of pictures are taken between their features, as is usual with the features of an Inception network
(Heusel et al. 2017, arXiv:1706.08500). That network was made for photographs of 299 x 299; a digit of 28 x 28 says little to
it. A classifier of the same data knows what matters there, and 10,000 pictures take it seconds.

So that it judges the picture and not its coding, it is trained on pictures in several forms (`genlib.evaluation.forms`):
grey-scale pictures half as they are, a quarter drawn as bits and a quarter thresholded; colour half as it is, a quarter
each at 16 and 4 levels. Its card gives its accuracy on the test images in each of them.

The network: five 3 x 3 convolutions with batch norm and ReLU, two of them with stride 2; averages over 2 x 2; a layer of
``features`` ReLU units, which are the features; the logits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlib.data import Dataset
from genlib.errors import GenlibError
from genlib.evaluation.forms import code

BATCH = 128
AT_ONCE = 500  # images a pass without gradient
SHIFT = 2  # pixels a training picture is moved at most
MIRRORED = ("fashion_mnist", "cifar10")  # where the mirror image of a picture is one of the same class
TRAINED_FORMS = {1: ("grey", "grey", "dynamic", "threshold"), 3: ("colour", "colour", "16 levels", "4 levels")}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Architecture:
    """What fixes the network: the image shape (C, H, W), the widths of its three resolutions, features and classes."""

    shape: tuple[int, int, int]
    widths: tuple[int, int, int]
    features: int
    classes: int


class Judgement(NamedTuple):
    """Of N pictures: ``features`` [N, D] and ``logits`` [N, classes]."""

    features: Tensor
    logits: Tensor

    @property
    def classes(self) -> Tensor:
        """The likeliest class of each, int64 [N]."""
        return self.logits.argmax(1)


class Classifier(nn.Module):
    """Images [N, C, H, W] in [0, 1] -> features and logits."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        c, h, w = architecture.shape
        a, b, d = architecture.widths
        self.body = nn.Sequential(
            _convolution(c, a, 1),
            _convolution(a, b, 2),  # H/2
            _convolution(b, b, 1),
            _convolution(b, d, 2),  # H/4
            _convolution(d, d, 1),
            nn.AvgPool2d(2),
            nn.Flatten(),
        )
        quarter = (h + 3) // 4 // 2 * ((w + 3) // 4 // 2)
        self.features = nn.Linear(d * quarter, architecture.features)
        self.head = nn.Linear(architecture.features, architecture.classes)

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def forward(self, images: Tensor) -> Judgement:
        features = F.relu(self.features(self.body(images - 0.5)))
        return Judgement(features, self.head(features))

    def judge(self, images: Tensor) -> Judgement:
        """The same for any number of images, part by part, in evaluation mode and without gradient; on the CPU."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                parts = [self(part.to(self.device)) for part in images.split(AT_ONCE)]
        finally:
            self.train(training)
        return Judgement(torch.cat([p.features for p in parts]).cpu(), torch.cat([p.logits for p in parts]).cpu())


def _convolution(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)
    )


def architecture_for(dataset: Dataset) -> Architecture:
    """Small for grey-scale pictures, wider for colour. A data set without classes to tell apart is a `GenlibError`."""
    info = dataset.info
    if info.unseen or len(info.classes) < 2:
        raise GenlibError(
            f"{info.name} has no two classes that its training and test images share, so no classifier can judge it: "
            "leave the sample measures out with --no-samples."
        )
    grey = info.shape[0] == 1
    return Architecture(info.shape, (16, 32, 64) if grey else (24, 48, 96), 64 if grey else 128, len(info.classes))


def train(
    dataset: Dataset, *, epochs: int = 5, learning_rate: float = 4e-3, seed: int = 0, progress: Progress | None = None
) -> Classifier:
    """Train a judge on the training split: Adam, the learning rate up and down in one cycle (Smith & Topin 2019,
    arXiv:1708.07120), pictures moved by up to two pixels, and mirrored where that changes no class.

    The same seed gives the same weights on the same machine with the same number of threads.
    """
    architecture = architecture_for(dataset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(architecture)
    generator = torch.Generator().manual_seed(seed)
    steps = dataset.size("train") // BATCH
    if not steps:
        raise GenlibError(f"{dataset.info.name} has fewer than {BATCH} training images: too few to train a judge.")
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * steps)
    network.train().to(memory_format=torch.channels_last)  # faster convolutions on a CPU
    for epoch in range(epochs):
        order = torch.randperm(dataset.size("train"), generator=generator)
        for step, rows in enumerate(order[: steps * BATCH].split(BATCH)):
            images = moved(dataset.batch("train", rows), generator, mirror=dataset.info.name in MIRRORED)
            coded = mixed(images, generator).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(network(coded).logits, dataset.labels("train")[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress(epoch * steps + step + 1, epochs * steps)
    return network.to(memory_format=torch.contiguous_format).eval()


def moved(images: Tensor, generator: torch.Generator, *, mirror: bool) -> Tensor:
    """Each image [N, C, H, W] moved by -2 to 2 pixels both ways, what comes in black; mirrored with probability 1/2."""
    n, c, h, w = images.shape
    if mirror:
        turn = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
        images = torch.where(turn, images.flip(3), images)
    padded = F.pad(images, (SHIFT,) * 4)
    down, right = torch.randint(2 * SHIFT + 1, (2, n, 1), generator=generator)
    rows, columns = down + torch.arange(h), right + torch.arange(w)  # [N, H], [N, W]
    return padded[
        torch.arange(n)[:, None, None, None],
        torch.arange(c)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def mixed(images: Tensor, generator: torch.Generator) -> Tensor:
    """A batch, each quarter of it in one of the forms that the judge is trained on."""
    forms = TRAINED_FORMS[images.shape[1]]
    return torch.cat([code(part, form, generator) for part, form in zip(images.chunk(len(forms)), forms, strict=False)])


def accuracies(network: Classifier, dataset: Dataset, split: str = "test") -> dict[str, float]:
    """Share of a split's images whose class is found, in each form the judge was trained on."""
    images, labels = dataset.batch(split, slice(None)), dataset.labels(split)
    found = {}
    for form in dict.fromkeys(TRAINED_FORMS[images.shape[1]]):
        coded = code(images, form, torch.Generator().manual_seed(0))
        found[form] = float((network.judge(coded).classes == labels).double().mean())
    return found
