"""PixelCNN auto-encoder: what its code does, and what its loss is not."""

import math
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from naive import naive_sample
from plain_optimizers import train
from torch import Tensor

from genlib.errors import GenlibError
from genlib.models import abilities
from genlib.models.pixelcnn_autoencoder import PixelCNNAutoencoder


def network(shape: tuple[int, int, int] = (1, 5, 6), seed: int = 0, **values: Any) -> PixelCNNAutoencoder:
    values = {"hidden": 6, "layers": 2, "head": 8, "first_kernel": 3, "latent": 3, "encoder": 6, **values}
    return PixelCNNAutoencoder.from_config(PixelCNNAutoencoder.configure(None, shape, **values), seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def every_image(height: int, width: int) -> Tensor:
    pixels = list(product((0.0, 1.0), repeat=height * width))
    return torch.tensor(pixels, dtype=torch.float64).view(-1, 1, height, width)


def log_prob(model: PixelCNNAutoencoder, images: Tensor, h: Tensor) -> Tensor:
    """ln p(x | h), [N]."""
    return model.decoder.value_nll(model.decoder.stacks(images, h), images).sum((1, 2, 3)).neg()


def test_given_a_code_it_is_a_distribution_but_given_its_own_code_no_image_is() -> None:
    """sum p(x | h) = 1 for any h; sum p(x | h(x)) is whatever the code makes of it."""
    model = network((1, 3, 3), learning_rate=2e-2)
    train(model, every_image(3, 3)[100:400].float(), 60)
    model = model.double()
    images = every_image(3, 3)
    with torch.no_grad():
        for h in 5 * noise(3, 1, 3):
            assert log_prob(model, images, h.expand(len(images), -1)).exp().sum().item() == pytest.approx(1, abs=1e-6)
        assert log_prob(model, images, model.codes(images)).exp().sum() > 1.5
    assert abilities(model) == []  # so it claims no likelihood, nor what would follow from one


@pytest.mark.parametrize(("shape", "levels"), [((1, 5, 6), 2), ((3, 3, 4), 3)])
def test_it_draws_what_the_naive_sampler_draws_from_the_same_code(shape: tuple[int, int, int], levels: int) -> None:
    model = network(shape, levels=levels).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2.0)
    decoder, codes = model.decoder, 3 * noise(4, 3)

    class Told(SimpleNamespace):
        def __call__(self, x: Tensor, _: None) -> Tensor:
            return decoder.stacks(x, codes)

    judge = Told(
        config=decoder.config, code=decoder.code, level_log_probs=decoder.level_log_probs,
        parameters=decoder.parameters, generator=decoder.generator, order=decoder.order,
    )  # fmt: skip
    drawn = model.draw(codes, seed=4)
    assert torch.equal(drawn, naive_sample(judge, 4, seed=4))
    assert not torch.equal(drawn, model.draw(-codes, seed=4))  # the code matters


def test_the_code_tells_the_images_apart() -> None:
    """Four images would cost a model of p(x) ln 4 = 1.39 nats each; the code brings them below, and back."""
    images = (noise(4, 1, 6, 6, seed=1) < 0.5).float()
    model = network((1, 6, 6), hidden=12, layers=3, head=16, first_kernel=7, encoder=16, learning_rate=2e-2)
    assert train(model, images, 160)["nll"] < math.log(4) / 2
    assert torch.equal(model.reconstruct(images, 2, temperature=0), images[:, None].expand(-1, 2, -1, -1, -1))
    assert not torch.equal(model.codes(images)[0], model.codes(images)[1])


def test_codes_without_an_image_are_like_those_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    h = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
        [[2.0, 1.0, 0.0], [0.0, 1.0, -1.0], [0.0, 0.0, 0.3]]
    )
    h -= h.mean(0)
    for _ in range(2000):
        model._remember(h)
    torch.testing.assert_close(model.code_covariance, h.t().cov(correction=0), rtol=1e-3, atol=1e-3)
    monkeypatch.setattr(model, "draw", lambda codes, **_: codes)
    drawn = model.sample(20_000, seed=1)
    torch.testing.assert_close(drawn.mean(0), torch.zeros(3), atol=0.06, rtol=0)
    torch.testing.assert_close(drawn.t().cov(), model.code_covariance, atol=0.15, rtol=0)
    assert torch.equal(drawn[:7], model.sample(7, seed=1))  # code i depends on the seed and i alone


def test_picture_i_depends_on_the_seed_and_i_alone() -> None:
    model = network()
    assert torch.equal(model.sample(6, seed=2)[:2], model.sample(2, seed=2))


def test_bad_input_is_one_clear_sentence() -> None:
    model = network()
    with pytest.raises(GenlibError, match="class labels"):
        model.sample(1, label=3)
    with pytest.raises(GenlibError, match="1 x 5 x 6"):
        model.reconstruct(torch.rand(1, 1, 28, 28))
    with pytest.raises(GenlibError, match="temperature"):
        model.sample(1, temperature=-1.0)
