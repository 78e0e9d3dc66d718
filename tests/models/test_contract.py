"""Every model of the catalogue keeps the contract. A new model needs a line in `small_models.SMALL` and in `ABILITIES_OF`."""

import json
import math
import typing
from typing import Any

import annotated_types
import pytest
import torch
from plain_optimizers import PlainOptimizers, train
from small_models import COLOUR, GREY, SMALL, N, small, strokes
from torch import Tensor

from genlib.errors import GenlibError
from genlib.models import Model, abilities, configure, count_parameters, create, get, names
from genlib.models.contract import ABILITIES

ABILITIES_OF = {
    "gan": {"adversaries"},
    "dcgan": {"adversaries"},
    "dcgan-bn": {"adversaries"},
    "wgan-gp": {"adversaries"},
    "gran": {"adversaries", "step-wise drawing"},
    "vae": {"bounded likelihood", "latent code"},
    "vae-mlp": {"bounded likelihood", "latent code"},
    "draw": {"bounded likelihood", "step-wise drawing"},
    "draw-noattn": {"bounded likelihood", "step-wise drawing"},
    "one-shot": {"bounded likelihood", "step-wise drawing", "conditioning by example"},
    "conv-draw": {"bounded likelihood", "step-wise drawing", "stepwise code"},
    "pixelcnn": {"exact likelihood", "completion", "pixel prediction"},
    "gated-pixelcnn": {"exact likelihood", "completion", "pixel prediction"},
    "row-lstm": {"exact likelihood", "completion", "pixel prediction"},
    "spatial-lstm": {"exact likelihood", "completion", "pixel prediction"},
    "diagonal-bilstm": {"exact likelihood", "completion", "pixel prediction"},
    "multiscale": {"exact likelihood", "completion", "pixel prediction"},
    "pixelcnn++": {"exact likelihood", "completion", "pixel prediction"},
    "video-pixel": {"exact likelihood", "completion", "pixel prediction"},
    "pixelcnn-autoencoder": set(),  # p(x | h(x)) is no likelihood of x, and its code has seen what is to be completed
}
COUNTS = [
    ("gan", "paper", {"generator": 1_489_936, "discriminator": 533_505}),
    ("gan", "tutorial", {"generator": 1_489_936, "discriminator": 533_505}),
    ("dcgan", "paper", {"generator": 684_129, "discriminator": 102_833}),
    ("dcgan", "tutorial", {"generator": 684_129, "discriminator": 102_833}),
    ("vae", "paper", {"encoder": 494_244, "decoder": 56_385}),
    ("vae", "tutorial", {"encoder": 494_244, "decoder": 56_385}),
    # 784 -> 512 -> 512 -> twice the latent, and latent -> 512 -> 512 -> 784, each with its biases
    ("vae-mlp", "tutorial", {"encoder": 730_240, "decoder": 698_128}),
    ("vae-mlp", "latent-2", {"encoder": 666_628, "decoder": 666_384}),
    ("pixelcnn", "tutorial", {"network": 532_673}),
]


def state(model: Model) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def labels(n: int = N) -> Tensor:
    return torch.arange(n) % 10


def presets() -> list[tuple[str, str]]:
    return [(name, preset) for name in names() for preset in get(name).presets]


def with_ability(*wanted: str) -> list[str]:
    return [name for name in names() if set(wanted) & ABILITIES_OF[name]]


def check_sentence(error: pytest.ExceptionInfo[GenlibError], *words: str) -> None:
    """One clear sentence on one line that names the input."""
    text = str(error.value)
    assert text.endswith("."), text
    assert "\n" not in text, text
    for word in words:
        assert word in text, text


# What a model says of itself


@pytest.mark.parametrize("name", names())
def test_description(name: str) -> None:
    kind = get(name)
    assert kind.name == name
    assert kind.title
    assert kind.family in ("adversarial", "variational", "autoregressive")
    assert "arXiv" in kind.paper
    assert any(str(year) in kind.paper for year in range(2012, 2027))
    assert kind.__doc__
    assert kind.terms
    assert all(kind.terms.values())


@pytest.mark.parametrize("name", names())
def test_has_the_named_presets(name: str) -> None:
    found = get(name).presets
    assert {"paper", "tutorial", "quick"} <= found.keys()
    assert any(preset.failure for preset in found.values()), "no preset shows how the model goes wrong"
    assert not any(found[preset].failure for preset in ("paper", "tutorial", "quick"))


@pytest.mark.parametrize(("name", "preset"), presets())
def test_preset_builds_and_its_config_survives_json(name: str, preset: str) -> None:
    kind = get(name)
    assert kind.presets[preset].notice.strip().endswith(".")
    config = configure(name, preset, "mnist")
    assert kind.validate_config(json.loads(json.dumps(config.model_dump(mode="json")))) == config
    with torch.device("meta"):
        model = kind(config)
    assert model.config == config
    assert sum(count_parameters(part) for part in model.parts().values()) == count_parameters(model)


@pytest.mark.parametrize(("name", "preset", "counts"), COUNTS)
def test_parameter_counts(name: str, preset: str, counts: dict[str, int]) -> None:
    with torch.device("meta"):
        model = get(name)(configure(name, preset, "mnist"))
    assert {part: count_parameters(module) for part, module in model.parts().items()} == counts


@pytest.mark.parametrize("name", names())
def test_abilities(name: str) -> None:
    assert set(abilities(get(name))) == ABILITIES_OF[name]
    assert set(abilities(small(name))) == ABILITIES_OF[name]
    assert ABILITIES_OF[name] <= set(ABILITIES)


# Config


def fields() -> list[tuple[str, str]]:
    return [(name, field) for name in names() for field in get(name).Config.model_fields]


def bounds(name: str, field: str) -> dict[str, Any]:
    """ge, gt, le and lt of a numeric field."""
    kinds = {annotated_types.Ge: "ge", annotated_types.Gt: "gt", annotated_types.Le: "le", annotated_types.Lt: "lt"}
    found: dict[str, Any] = {}
    for constraint in get(name).Config.model_fields[field].metadata:
        if type(constraint) in kinds:
            found[kinds[type(constraint)]] = getattr(constraint, kinds[type(constraint)])
    return found


@pytest.mark.parametrize(("name", "field"), fields())
def test_field_has_description_default_and_bounds(name: str, field: str) -> None:
    info = get(name).Config.model_fields[field]
    assert info.description
    assert not info.is_required()
    assert info.annotation is not None
    if info.annotation in (int, float):
        found = bounds(name, field)
        assert {"ge", "gt"} & found.keys(), "no lower bound"
        assert {"le", "lt"} & found.keys(), "no upper bound"
    elif info.annotation is not bool:
        choices = typing.get_args(info.annotation)
        assert typing.get_origin(info.annotation) is typing.Literal, f"{info.annotation} is no number, switch or choice"
        assert info.default in choices


@pytest.mark.parametrize(("name", "field"), fields())
def test_value_out_of_bounds_is_one_sentence(name: str, field: str) -> None:
    annotation = get(name).Config.model_fields[field].annotation
    wrong: list[Any] = ["nonsense", None, [1, 2]]
    if annotation in (int, float):
        found = bounds(name, field)
        wrong += [found["ge"] - 1 if "ge" in found else found["gt"], found["le"] + 1 if "le" in found else found["lt"]]
        wrong += [math.nan, math.inf]
    for value in wrong:
        with pytest.raises(GenlibError) as error:
            configure(name, **{field: value})
        check_sentence(error, name, field)


@pytest.mark.parametrize("name", names())
def test_unknown_field_or_preset_is_one_sentence(name: str) -> None:
    with pytest.raises(GenlibError) as error:
        create(name, colour_of_the_sky=1)
    check_sentence(error, "colour_of_the_sky", "learning_rate")
    with pytest.raises(GenlibError) as error:
        create(name, preset="perfect")
    check_sentence(error, "perfect", "tutorial")


def test_unknown_model_or_data_is_one_sentence() -> None:
    with pytest.raises(GenlibError) as error:
        create("oracle")
    check_sentence(error, "oracle", *names())
    with pytest.raises(GenlibError) as error:
        create("vae", data="dreams")
    check_sentence(error, "dreams", "mnist")


@pytest.mark.parametrize("name", names())
def test_config_is_frozen(name: str) -> None:
    config = configure(name)
    with pytest.raises(ValueError, match="frozen"):
        config.learning_rate = 1.0  # type: ignore[misc]


# Sampling


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("name", names())
def test_sample_shape_and_range(name: str, shape: tuple[int, int, int]) -> None:
    images = small(name, shape).sample(3, seed=1)
    assert images.shape == (3, *shape)
    assert images.dtype == torch.float32
    assert not images.requires_grad
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize("name", names())
def test_same_seed_same_picture(name: str) -> None:
    model = small(name)
    first = model.sample(N, seed=5)
    assert torch.equal(first, model.sample(N, seed=5))
    assert torch.equal(first, small(name).sample(N, seed=5))  # fresh weights depend on the seed alone
    assert not torch.equal(first, model.sample(N, seed=6))
    assert not torch.equal(first[0], first[1])
    assert not same(state(small(name, seed=0)), state(small(name, seed=1)))


@pytest.mark.parametrize("name", names())
def test_sampling_leaves_no_trace(name: str) -> None:
    """Neither random state, nor weights, running statistics or mode change; nor does the mode matter."""
    before = torch.get_rng_state()
    model = small(name)
    kept = state(model)
    images = model.sample(N, seed=3)
    model.train()
    assert torch.equal(model.sample(N, seed=3), images)
    assert model.training
    with torch.inference_mode():
        assert torch.equal(model.sample(N, seed=3), images)
    assert same(state(model), kept)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", names())
def test_temperature_changes_the_picture(name: str) -> None:
    model = small(name)
    assert not torch.equal(model.sample(16, seed=0, temperature=0.2), model.sample(16, seed=0, temperature=3.0))


@pytest.mark.parametrize("name", names())
def test_model_without_classes_refuses_a_label(name: str) -> None:
    with pytest.raises(GenlibError) as error:
        small(name).sample(1, label=3)
    check_sentence(error, name, "3")


# Training


@pytest.mark.parametrize("name", names())
def test_one_step_moves_every_parameter(name: str) -> None:
    model = small(name).train()
    kept = {key: value.detach().clone() for key, value in model.named_parameters()}
    images = strokes(n=16)
    terms = model.training_step(images, labels(16), PlainOptimizers(model))
    assert model.training
    for key, parameter in model.named_parameters():
        assert parameter.requires_grad, key
        assert parameter.grad is not None, f"{key} gets no gradient"
        assert parameter.grad.abs().max() > 0, f"{key} gets a gradient of zeros"
        assert not torch.equal(parameter, kept[key]), f"{key} does not move"
    assert terms.keys() == model.terms.keys()
    for key, value in terms.items():
        assert value.shape == (), key
        assert not value.requires_grad, key
        assert value.isfinite(), key


@pytest.mark.parametrize("name", names())
def test_every_parameter_belongs_to_one_optimizer(name: str) -> None:
    model = small(name)
    owned = [id(p) for o in model.optimizers().values() for group in o.param_groups for p in group["params"]]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(p) for p in model.parameters()}
    for optimizer in model.optimizers().values():
        assert all(group["lr"] > 0 for group in optimizer.param_groups)


@pytest.mark.parametrize("name", names())
def test_training_depends_on_the_given_generator_alone(name: str) -> None:
    ends = []
    binary = {"binarisation": "dynamic"} if "binarisation" in get(name).Config.model_fields else {}
    for seed in (0, 0, 1):
        torch.manual_seed(len(ends))
        model = small(name, **binary).train()
        optimizers = PlainOptimizers(model, seed)
        for _ in range(2):
            model.training_step(strokes() * 0.5, labels(), optimizers)  # grey, so binarising draws too
        ends.append(state(model))
    assert same(ends[0], ends[1])
    assert not same(ends[0], ends[2])


@pytest.mark.parametrize("name", names())
def test_validation_changes_nothing(name: str) -> None:
    model = small(name).train()
    kept, process = state(model), torch.get_rng_state()
    terms = [model.validation_step(strokes(), labels(), model.generator(7)) for _ in range(2)]
    assert terms[0].keys() == model.terms.keys()
    assert all(value.shape == () and not value.requires_grad for value in terms[0].values())
    assert terms[0] == terms[1]
    assert same(state(model), kept)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), process)


@pytest.mark.parametrize("name", [name for name in names() if get(name).family != "adversarial"])
def test_training_lowers_the_loss(name: str) -> None:
    model = small(name, learning_rate=1e-2)
    first = next(iter(model.terms))
    start = float(model.validation_step(strokes(n=8), labels(8), model.generator(0))[first])
    train(model, strokes(n=8), 40)
    end = float(model.validation_step(strokes(n=8), labels(8), model.generator(0))[first])
    assert end < 0.8 * start


# The meta device: every tensor is made where the input is, without a GPU at hand


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("name", names())
def test_everything_runs_where_the_input_is(name: str, shape: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        model = get(name)(get(name).configure(None, shape, **SMALL[name]))
    model.eval()
    images = torch.empty(N, *shape, device="meta")
    meant = torch.empty(N, dtype=torch.long, device="meta")
    results: list[Tensor] = list(model.validation_step(images, meant, torch.Generator()).values())
    can = abilities(model)
    if "bounded likelihood" in can:
        results += [*model.bound(images), model.elbo(images), model.iwae(images, 3)]  # type: ignore[operator]
    if "exact likelihood" in can:
        results += [model.log_prob(images)]  # type: ignore[operator]
    if "latent code" in can:
        results += [*model.encode(images), model.decode(model.encode(images)[0])]  # type: ignore[operator]
    if "pixel prediction" in can:
        results += [model.pixel_distribution(images)]  # type: ignore[operator]
    if model.family != "autoregressive":  # those look at the pixels that they have drawn
        results += [model.sample(N)]
    assert all(result.device.type == "meta" for result in results)


# Abilities: what each promises, whichever model has it


@pytest.mark.parametrize("name", with_ability("bounded likelihood"))
def test_bound_is_the_sum_of_its_parts(name: str) -> None:
    model = small(name)
    images = strokes()
    bound = model.bound(images, seed=2)  # type: ignore[operator]
    assert bound.reconstruction.shape == bound.kl.shape == (N,)
    assert (bound.kl >= 0).all()
    assert (bound.reconstruction > 0).all()
    elbo = model.elbo(images, seed=2)  # type: ignore[operator]
    torch.testing.assert_close(elbo, -(bound.reconstruction + bound.kl))
    assert torch.equal(elbo, model.elbo(images, seed=2))  # type: ignore[operator]
    assert not torch.equal(elbo, model.elbo(images, seed=3))  # type: ignore[operator]
    assert model.iwae(images, 5).shape == (N,)  # type: ignore[operator]


@pytest.mark.parametrize("name", with_ability("bounded likelihood", "exact likelihood"))
def test_fresh_weights_know_nothing(name: str) -> None:
    """Without training each pixel is about even: the negative log-likelihood is near 784 ln 2 = 543.4 nats."""
    bernoulli = {"likelihood": "bernoulli"} if "likelihood" in get(name).Config.model_fields else {}
    model = create(name, preset="quick", data="mnist", **bernoulli)
    images = strokes((1, 28, 28))
    value = model.log_prob(images) if "exact likelihood" in abilities(model) else model.elbo(images)  # type: ignore[operator]
    assert value.shape == (N,)
    assert float(-value.mean()) == pytest.approx(784 * math.log(2), rel=0.1)


@pytest.mark.parametrize("name", with_ability("latent code"))
def test_code_and_back(name: str) -> None:
    model = small(name)
    mean, log_var = model.encode(strokes() * 0.7)  # type: ignore[operator]
    assert mean.shape == log_var.shape == (N, model.config.latent)
    assert torch.equal(mean, model.encode(strokes() * 0.7)[0])  # type: ignore[operator]
    images = model.decode(mean)  # type: ignore[operator]
    assert images.shape == (N, *GREY)
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize("name", with_ability("pixel prediction"))
def test_pixel_distribution_sums_to_one(name: str) -> None:
    probabilities = small(name).pixel_distribution(strokes())  # type: ignore[operator]
    assert probabilities.ndim == 5
    assert probabilities.shape[0] == N
    assert probabilities.shape[3:] == GREY[1:]
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(2), torch.ones(N, *GREY))


@pytest.mark.parametrize("name", with_ability("completion"))
def test_completion_keeps_what_is_known(name: str) -> None:
    model = small(name)
    known = torch.zeros(GREY[1:], dtype=torch.bool)
    known[:4] = True
    images = strokes()
    whole = model.complete(images, known, 3, seed=1)  # type: ignore[operator]
    assert whole.shape == (N, 3, *GREY)
    assert torch.equal(whole[..., :4, :], images[:, None, :, :4].expand(-1, 3, -1, -1, -1))
    assert not torch.equal(whole[:, 0], whole[:, 1])
    rows = list(model.complete_rows(images, known, 3, seed=1))  # type: ignore[operator]
    assert [row for row, _ in rows] == list(range(4, 8))
    assert torch.equal(rows[-1][1], whole)
