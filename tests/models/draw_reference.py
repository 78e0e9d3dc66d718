"""DRAW written straight from the paper's equations, one small step after another: the judge of the fast implementation.

It shares no code with genlib: it takes a model's parameters by name and its own noise, and loops.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def lstm(weight: Tensor, bias: Tensor, inputs: Tensor, state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Gates in the order input, forget, output, candidate."""
    i, f, o, g = (torch.cat([inputs, state], 1) @ weight.t() + bias).chunk(4, 1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def filters(raw: Tensor, n: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Five outputs [N, 5] -> F_y [N, n, H], F_x [N, n, W], gamma [N, 1, 1, 1]; pixels count from 1 (eqs. 19 to 26)."""
    gx = (width + 1) / 2 * (raw[:, 0] + 1)
    gy = (height + 1) / 2 * (raw[:, 1] + 1)
    variance = raw[:, 2].exp()
    delta = (max(width, height) - 1) / max(n - 1, 1) * raw[:, 3].exp()
    banks = []
    for centre, size in ((gy, height), (gx, width)):
        pixels = torch.arange(1, size + 1, dtype=raw.dtype)
        rows = []
        for i in range(1, n + 1):
            mu = centre + (i - n / 2 - 0.5) * delta
            row = torch.exp(-((pixels - mu[:, None]) ** 2) / (2 * variance[:, None]))
            rows.append(row / row.sum(1, keepdim=True))
        banks.append(torch.stack(rows, 1))
    return banks[0], banks[1], raw[:, 4].exp().view(-1, 1, 1, 1)


def draw(
    p: dict[str, Tensor],
    images: Tensor,
    noise: Tensor,
    n_read: int,
    n_write: int,
    examples: Tensor | None = None,
    n_example: int = 0,
) -> tuple[Tensor, Tensor]:
    """Reconstruction [N] and the KL of each step [N, T] in nats. ``noise`` is [T, N, latent]; ``examples`` are for the
    model that is shown some (Rezende et al. 2016)."""
    n, channels, height, width = images.shape
    hidden = p["initial_encoder"].shape[0]
    attention = "read_box.weight" in p
    h_enc = p["initial_encoder"].repeat(n, 1)
    h_dec = p["initial_decoder"].repeat(n, 1)
    c_enc = torch.zeros(n, hidden, dtype=images.dtype)
    c_dec = torch.zeros(n, hidden, dtype=images.dtype)
    canvas = p["initial_canvas"].repeat(n, 1, 1, 1)
    kls = []
    for t in range(len(noise)):
        error = images - torch.sigmoid(canvas)
        looked = torch.zeros(n, 0, dtype=images.dtype)
        if examples is not None:
            raw = h_dec @ p["example_box.weight"].t() + p["example_box.bias"]
            fy, fx, gamma = filters(raw, n_example, height, width)
            looked = (gamma * (fy[:, None] @ examples @ fx[:, None].mT)).reshape(n, -1)
        if attention:
            fy, fx, gamma = filters(h_dec @ p["read_box.weight"].t() + p["read_box.bias"], n_read, height, width)
            fy, fx = fy[:, None], fx[:, None]
            seen = gamma * torch.cat([fy @ images @ fx.mT, fy @ error @ fx.mT], 1)
        else:
            seen = torch.cat([images, error], 1)
        inputs = torch.cat([seen.reshape(n, -1), looked, h_dec], 1)
        h_enc, c_enc = lstm(p["encoder.weight"], p["encoder.bias"], inputs, h_enc, c_enc)
        mean, log_sigma = (h_enc @ p["posterior.weight"].t() + p["posterior.bias"]).chunk(2, 1)
        sigma = torch.exp(log_sigma)
        kls.append(0.5 * (mean**2 + sigma**2 - torch.log(sigma**2)).sum(1) - 0.5 * mean.shape[1])
        z = mean + sigma * noise[t]
        h_dec, c_dec = lstm(p["decoder.weight"], p["decoder.bias"], torch.cat([z, looked], 1), h_dec, c_dec)
        patch = h_dec @ p["patch.weight"].t() + p["patch.bias"]
        if attention:
            fy, fx, gamma = filters(h_dec @ p["write_box.weight"].t() + p["write_box.bias"], n_write, height, width)
            patch = patch.view(n, channels, n_write, n_write)
            canvas = canvas + fy[:, None].mT @ patch @ fx[:, None] / gamma
            if "paste_box.weight" in p:
                raw = h_dec @ p["paste_box.weight"].t() + p["paste_box.bias"]
                fy, fx, gamma = filters(raw, n_example, height, width)
                glimpse = looked.view(n, channels, n_example, n_example)
                canvas = canvas + fy[:, None].mT @ glimpse @ fx[:, None] / gamma
        else:
            canvas = canvas + patch.view(n, channels, height, width)
    log_p = images * F.logsigmoid(canvas) + (1 - images) * F.logsigmoid(-canvas)
    return -log_p.flatten(1).sum(1), torch.stack(kls, 1)
