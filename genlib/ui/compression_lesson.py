"""What the Compression page says at its end: what to notice, what to try, the maths, and the code of the current view."""

from genlib.ui.compression import LOSSLESS, Settings

NOTICE_LOSSLESS = """
* **A likelihood is a file size.** The model's nats, divided by 8 ln 2, are the bytes of the file, to within a byte or two. A model that predicts better makes smaller files: that is what the numbers on the *Compare* page mean.
* **Ground costs nothing, edges cost all.** The map is dark where the model was sure of the next pixel: the margin, the inside of a stroke. Bits are paid where a stroke begins, bends or ends.
* **One digit has a dozen bytes, and a header of three times that.** A hundred in one file share it. Held against PNG and WebP the fair count is all in one file: their headers weigh as much.
* **The model itself is not in the file.** PNG's knowledge of pictures is in every browser; this one's is in the checkpoint, hundreds of kilobytes, which both sides must have.
"""

ATTEMPT_LOSSLESS = """
* Find a cheap digit and a dear one: a 1, an 8, a badly written 4. Upload a picture that is no digit at all.
* Choose other models with the same digit. Which of them pays for what the others had for nothing?
* A hundred pictures in one file: by how much is it smaller than WebP?
* Take the file home, change one byte of it in an editor and drop it back in.
* In a terminal: `genlib compress mnist:test:0-99 digits.glc --model pixelcnn-mnist`, then `genlib decompress digits.glc digits`.
"""

MATHS_LOSSLESS = r"""
An arithmetic coder keeps an interval, $[0, 1)$ at first, and narrows it with every value $x_i$ to the share that the model gave it:

$$\text{width}_i = \text{width}_{i-1} \cdot p(x_i \mid x_1, \dots, x_{i-1}) \qquad \text{width}_n = \prod_i p(x_i \mid x_{<i}) = p(x)$$

Any number in the last interval names the picture, and one of about $-\log_2 p(x)$ binary digits lies in it. The decoder has the number, asks the model
for $p(\cdot \mid x_{<i})$, sees in whose share the number lies, and so knows $x_i$; then it asks for the next. It is the model's sampler, with the file in the place of the dice.

No code can do better on average than the source's entropy $H$, and a model's $\mathbb E[-\log_2 p(x)]$ is $H$ plus its divergence from the source: the bits that it wastes by not knowing better.

Both sides must compute the same $p$ to the last bit, so the arithmetic is that of one thread and fixed batches, and a checksum of the pixels says where another machine's rounding differs.
A model that is told a class first writes the class, $\log_2 10 = 3.3$ bits.
"""

NOTICE_LOSSY = """
* **The first bits say what it is, the last ones what it looks like exactly.** Step through the player: colours and layout come first.
* **Where the file ends, the prior goes on.** With its variance (WPV) details are invented, sharp and wrong; with its mean (WoPV) they are left out, and the picture is smooth. WoPV wins every measure of pixels; look at which you would rather have.
* **JPEG cannot go so low.** Its header alone is longer than the whole file here. Both counts are given: the whole file, and its picture alone.
* **More bits stop helping** when the code is used up: the model was trained to spend about so many.
"""

ATTEMPT_LOSSY = """
* Slide the bits from the least to the most: at which can you name the object?
* At 153 and 307 bits compare with JPEG 2000. Which keeps the shape, which the colours?
* Change the seed: what moves between two WPV pictures is what the file does not say.
* Upload a picture that is nothing like the training set: a page of text, a drawing.
* Take the file home and drop it back in.
"""

MATHS_LOSSY = r"""
Convolutional DRAW codes a picture in steps. Each step's $z_t$ has a prior $p(z_t \mid z_{<t})$ that is learned and knows what was said before, and costs

$$L_t = \mathrm{KL}\big(q(z_t \mid x, z_{<t}) \,\big\|\, p(z_t \mid z_{<t})\big)$$

nats. The file keeps $z_1 \dots z_t$, each quantised and written by an entropy coder with the prior's own probabilities, as far as the bits go. The decoder reads them, draws $z_{t+1} \dots z_T$ from
the prior (or takes its mean) and decodes.

Quality is measured as $\mathrm{PSNR} = -10 \log_{10} \mathrm{MSE}$ in decibels, for pixels in $[0, 1]$, and as SSIM, which compares means, variances and covariance in small windows; 1 is the same picture.
"""


def lesson(view: str) -> tuple[str, str, str]:
    """What to notice, what to try, and the maths of a half of the page."""
    if view == LOSSLESS:
        return NOTICE_LOSSLESS, ATTEMPT_LOSSLESS, MATHS_LOSSLESS
    return NOTICE_LOSSY, ATTEMPT_LOSSY, MATHS_LOSSY


def code(s: Settings | None) -> str:
    """The lines that give the current file."""
    if s is None:
        return "# genlib train conv-draw --data cifar10 --preset colour"
    lines = "import torch\nimport genlib\n"
    lines += f"from genlib.codec import {'lossless' if s.view == LOSSLESS else 'lossy'}\n"
    if s.index is None:
        lines += "from pathlib import Path\nfrom genlib.data.pictures import read_picture\n"
    else:
        lines += "from genlib.data.few import load_to_look_at\n"
    lines += f'\nmodel = genlib.load("{s.checkpoint}", device="cpu")\n'
    if s.index is None:
        dark = ", dark_background=True" if s.model.config.channels == 1 else ""
        lines += (
            f'images = read_picture(Path("your-picture.png"), model.config.shape{dark})  # [1, C, H, W] in [0, 1]\n'
        )
    else:
        lines += f'images = load_to_look_at("{s.data}").batch("test", slice({s.index}, {s.index + len(s.images)}))  # [N, C, H, W]\n'
    if s.view == LOSSLESS:
        return (
            lines + "images = model.code(images)  # the values that the model knows\n"
            "file = lossless.compress(model, images)  # bytes\n"
            "back = lossless.decompress(model, file)\n"
            "assert torch.equal(back, images)"
        )
    return (
        lines + f"file = lossy.compress(model, images, bits={s.bits})  # bytes\n"
        f"drawn = lossy.decompress(model, file, seed={s.seed})  # the rest from the prior: WPV\n"
        "mean = lossy.decompress(model, file, mean=True)  # the rest at its mean: WoPV"
    )
