"""What the Receptive field page says at its end, for each view, and the code of the current one."""

from genlib.ui.receptive_field import IMAGES_USED, MASKS, REACH, SKEWING, USE, Settings, trained_names

NOTICE = {
    REACH: """
* **Nothing here is drawn by hand.** Each tile is a gradient: the prediction at the orange pixel, differentiated by every pixel of the image, in a small copy of
  the network whose weights are all positive, so that no two paths cancel.
* **The plain PixelCNN has a blind spot.** Pale pixels come with depth; the striped wedge above and to the right never does, though those pixels are drawn before this one.
* **Two stacks close it.** The Gated PixelCNN and the PixelCNN++ look at the rows above and at the pixel's own row apart; in the end they miss nothing.
* **Recurrence reaches far at once.** A convolution looks a pixel further with each layer; an LSTM layer carries its state from row to row or along diagonals, so one layer
  comes to the top of the image. The Row LSTM's view is a triangle, until more layers widen it on the left.
""",
    USE: """
* **What it could see is not what it uses.** Most of the gradient lies within two or three pixels: the stroke just drawn. The scale is logarithmic; on a linear one the rest would be black.
* **Black is never seen**: the future, and what the network's depth or its blind spot puts out of reach.
* **Two checkpoints of equal reach differ.** Look for the one whose light goes further up: it has learned to care for the head of a digit while it draws the foot.
""",
    MASKS: """
* These are **the buffers of real layers**, the numbers that multiply the weights in every forward pass, not a drawing.
* **A and B differ at the pixel itself only**: A leaves it out, since the first layer reads the image and would see the answer. B keeps it: features hold nothing forbidden any more.
* **Colour is an order within the pixel**: R sees no channel of its own pixel, G sees R, B sees R and G. With B each also sees the features of its own group.
* The rows below are grey without a cross: they would always be zero, so they are not even stored as a mask, and not multiplied.
""",
    SKEWING: """
* **Rows wait for rows, pixels for pixels.** A state needs the one to its left and the one above, so a row cannot be computed at once. But a *diagonal* can: its pixels do not wait for one another.
* **Skewing makes diagonals columns.** Row r moves right by r places; then one column-wise 2 × 1 convolution computes a whole diagonal. 28 × 28 pixels take 55 steps, not 784.
* **The other direction is the mirror image**, and it looks to the right in the pixel's own row. That is the future: the red cells of the last frame but one.
* **So its map moves down a row** before the two are added. Then the sum knows what comes before, and nothing else.
""",
}

ATTEMPT = {
    REACH: """
* Click a pixel at the **left** edge, then move right: the blind spot shrinks, and at the right edge it is gone. Why does it lie on the right?
* Play the depth with the arrow keys. How deep must a PixelCNN be before the last row knows the first? Which architecture needs one layer for that?
* Take 3 × 3 for the first layer: the wedge grows. With 11 × 11 it is smaller, but it is there.
* Build them *With a mistake*: mask B in the first layer sees the pixel itself; the Diagonal BiLSTM whose map is not moved down sees its right neighbours; the Gated PixelCNN
  that is moved down in every layer has its blind spot back. Each trains without complaint.
* Take *Colour* and go through R, G and B: the last line under each tile says which channels of its own pixel it sees.
""",
    USE: """
* Click in the middle of a digit's stroke region, then near the border, where the background is always black: how far does the gradient reach?
* Compare a network with a blind spot to one without. Does the second use what the first cannot see?
* Train *short-sighted* on the Train page and look at it here: four pixels, and nothing else.
""",
    MASKS: """
* Go from 3 × 3 to 11 × 11: which share of the taps is in use? It tends to one half, which is what a dense convolution with a mask wastes.
* Find the cell in which masks A and B of one channel differ. Then count the cells in which they differ for colour.
* What would the mask look like if blue were drawn first?
""",
    SKEWING: """
* Step through the sweep: which two cells does the orange one read, in the skewed map and in the image?
* At which column are most pixels computed at once?
* Before the last two frames, guess: what does the right-to-left state at the orange pixel know that it must not?
""",
}

_REACH_MATHS = r"""
Raster order promises pixel $(r, c)$ all $r W + c$ pixels before it. Let $s$ be the logit there. A pixel $x_{jk}$ is seen if $\partial s / \partial x_{jk} \neq 0$. By the chain rule

$$\frac{\partial s}{\partial x} = \sum_{\text{paths}} \prod_{\text{layers}} w_\ell\, \phi'_\ell ,$$

a sum over all paths of taps. With all weights and inputs positive, every term is, so the sum is zero only where there is no path.

**Why the PixelCNN is blind.** A 3 × 3 mask B has the taps $(-1,-1), (-1,0), (-1,1), (0,-1)$: to come one column to the right, a path must go one row up. The first layer, of reach $R$ (a
$(2R+1) \times (2R+1)$ mask A), can give $R$ columns for its one row. So $i$ rows up, all depths together reach at most

$$R + i - 1 \quad\text{columns to the right},$$

and the earlier pixels beyond that are the blind spot: $\sum_i \max(0,\ W - 1 - c - (R + i - 1))$ of them. To the left there is no such bound, since the tap $(0,-1)$ moves left within a row.

**Gated PixelCNN**: a vertical stack without the mask's step (all columns of the rows above) feeds the horizontal one. **Row LSTM**: states from $(-1,-1), (-1,0), (-1,1)$ give a triangle at once.
**Diagonal BiLSTM**: states from left and above, and from right and above a row further up.
"""

MATHS = {
    REACH: _REACH_MATHS,
    USE: r"""
For the trained weights we take the mean over test images $x^{(n)}$ of

$$g_{jk} = \frac1N \sum_n \left| \frac{\partial}{\partial x_{jk}} \log \frac{p(x_{rc} = 1 \mid x_{<rc})}{p(x_{rc} = 0 \mid x_{<rc})} \right|_{x = x^{(n)}} ,$$

how much the log odds of ink at $(r, c)$ would change with a little more ink at $(j, k)$; with more than two levels, the log-probability of the value that stands there. The colour is
$\log_{10} (g / \max g)$, down to $-4$. A gradient is local: it says what matters around these images, not everywhere.
""",
    MASKS: r"""
A masked convolution is $y_o = \sum_i (M_{oi} \odot W_{oi}) * x_i$ with

$$M^{A}_{oi}[u, v] = \begin{cases} 1 & u < 0, \text{ or } u = 0 \text{ and } v < 0 \\ 1 & u = v = 0 \text{ and } g(i) < g(o) \\ 0 & \text{else} \end{cases}
\qquad M^{B}: \ g(i) \le g(o) \text{ at } u = v = 0,$$

where $u, v$ count rows and columns from the kernel's middle and $g$ is a map's group: 0 for R, 1 for G, 2 for B. With one channel, $g = 0$ everywhere: A leaves the middle out, B keeps it. So the network computes

$$p(x_i \mid x_{<i}) = p(R_i \mid x_{<i})\; p(G_i \mid x_{<i}, R_i)\; p(B_i \mid x_{<i}, R_i, G_i).$$
""",
    SKEWING: r"""
A state of the Diagonal LSTM follows from two others,

$$h_{r,c} = \mathrm{LSTM}\big(x_{r,c},\ h_{r,c-1},\ h_{r-1,c}\big),$$

so everything with the same $r + c$ can be computed at once. The skewed map $\tilde h_{r,\,c + r} = h_{r,c}$ has these in one column, and both states that are read in the column before:
$h_{r,c-1} = \tilde h_{r,\,c+r-1}$ and $h_{r-1,c} = \tilde h_{r-1,\,c+r-1}$. That is a 2 × 1 convolution. $H + W - 1$ columns take the place of $H W$ pixels.

Left to right, $h_{r,c}$ knows $\{(j, k): j \le r,\ k \le c\}$; right to left $\{j \le r,\ k \ge c\}$, which in row $r$ is the future. Moved down,
$h^{\leftarrow}_{r-1,c}$ knows $\{j \le r-1,\ k \ge c\}$, and the two together everything up to $(r, c)$ in raster order.
""",
}


def code(s: Settings) -> str:
    """The lines that give the current view."""
    if s.view == REACH:
        return (
            "from genlib.evaluation import receptive_field\n\n"
            "for name, kind in receptive_field.architectures().items():\n"
            f"    field = receptive_field.grow(kind, {s.shape}, row={s.row}, column={s.column}, channel={s.channel}, values={s.values})\n"
            "    for depth in range(field.first, field.last + 1):\n"
            "        print(name, depth, field.form(depth), field.counts(depth))  # the map: field.at(depth), bool [C, H, W]"
        )
    if s.view == USE:
        return (
            "import genlib\nfrom genlib import data\nfrom genlib.evaluation import receptive_field\n\n"
            f"for name, kind in {trained_names()!r}.items():\n"
            "    model, dataset = genlib.load(name), data.load(kind)\n"
            f'    images = model.code(dataset.batch("test", slice(0, {IMAGES_USED})))\n'
            f'    labels = dataset.labels("test")[:{IMAGES_USED}]\n'
            f"    gradient = receptive_field.measure(model, {s.row}, {s.column}, 0, images, labels)  # [C, H, W]\n"
            f"    print(name, receptive_field.within(gradient.numpy(), {s.row}, {s.column})[:5])"
        )
    if s.view == MASKS:
        return (
            "from genlib.layers.masked import MaskedConv2d\n\n"
            'for kind in ("A", "B"):\n'
            f"    grey = MaskedConv2d(kind, 1, 1, {s.kernel}).mask  # [1, 1, {s.kernel // 2 + 1}, {s.kernel}]: the rows down to the middle\n"
            f"    colour = MaskedConv2d(kind, 3, 3, {s.kernel}, groups=3).mask  # [out, in, {s.kernel // 2 + 1}, {s.kernel}]\n"
            "    print(kind, grey[0, 0], colour[:, :, -1, " + str(s.kernel // 2) + '], sep="\\n")'
        )
    return (
        "import torch\nfrom genlib.figures import skewing\nfrom genlib.layers.lstm2d_eager import skew, unskew\n\n"
        "image = torch.arange(64).view(8, 8)\n"
        "skewed = skew(image)  # [8, 15]: row r moved right by r places\n"
        "assert torch.equal(unskew(skewed), image)\n"
        "film = skewing.film()  # the frames that you see\n"
        "left, right = skewing.views()  # bool [8, 8]: what the two states at one pixel know"
    )
