"""The compiled side of `genlib.layers.lstm2d`: how the structures of lstm2d.c are filled and its functions called."""

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlib.layers.sweeps import Sweep, Tap
from genlib.native import library

SOURCE = Path(__file__).with_name("lstm2d.c")
MAX_TAPS = 64  # MAX_PARTS in the source


@cache
def _compiled() -> ctypes.CDLL | None:
    return library(SOURCE)


def serves(*tensors: Tensor) -> bool:
    """Whether the kernel takes these: float32 numbers in the processor's memory, and a compiler was there."""
    return all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors) and _compiled() is not None


class _Struct(ctypes.Structure):
    """A structure of longs, then pointers. The tensors behind the pointers live as long as it."""

    longs: tuple[str, ...] = ()

    def __init__(self, numbers: Sequence[int], arrays: dict[str, Sequence[int]], tensors: dict[str, Tensor]) -> None:
        super().__init__(*numbers)
        self._keep: list[Any] = []
        for name, values in arrays.items():
            array = (ctypes.c_long * len(values))(*values)
            self._keep.append(array)
            setattr(self, name, ctypes.addressof(array))
        for name, tensor in tensors.items():
            if not tensor.is_contiguous() or tensor.dtype != torch.float32 or tensor.device.type != "cpu":
                raise ValueError(f"{name} must be contiguous float32 numbers in the processor's memory")
            self._keep.append(tensor)
            setattr(self, name, tensor.data_ptr())


def _fields(longs: str, pointers: str) -> list[tuple[str, Any]]:
    return [(name, ctypes.c_long) for name in longs.split()] + [(name, ctypes.c_void_p) for name in pointers.split()]


class Recurrent(_Struct):
    """`layer` in the source: an LSTM layer over the map x [H, W, N, 2 hidden]; the other tensors by their names there."""

    _fields_ = _fields(
        "height width images inputs hidden directions input_taps state_taps cell_taps",
        "offsets shift weight bias up up_bias x y state cell gates weight_t up_t d_y d_x",
    )

    def __init__(self, sweep: Sweep, x: Tensor, **tensors: Tensor) -> None:
        kinds = (sweep.input_taps, sweep.state_taps, sweep.cell_taps)
        sizes = [*x.shape, x.shape[-1] // 2, len(sweep.shifts), *map(len, kinds)]
        offsets = [number for taps in kinds for tap in taps for number in tap]
        super().__init__(sizes, {"offsets": offsets, "shift": sweep.shifts}, {"x": x, **tensors})


class Causal(_Struct):
    """`plain` in the source: a layer that reads x [H, W, N, in] at some taps and writes y [H, W, N, out]."""

    _fields_ = _fields(
        "height width images inputs outputs taps relu_before relu_after", "offsets weight bias x y weight_t d_y d_x"
    )

    def __init__(
        self,
        taps: Sequence[Tap],
        weight: Tensor,
        bias: Tensor,
        x: Tensor,
        y: Tensor,
        *,
        relus: tuple[bool, bool],
        **gradients: Tensor,
    ) -> None:
        if len(taps) > MAX_TAPS or (relus[0] and tuple(taps) != ((0, 0),)):
            raise ValueError(f"a layer with {len(taps)} taps{' after a ReLU' * relus[0]} does not fit the kernel")
        sizes = [*x.shape, y.shape[-1], len(taps), *map(int, relus)]
        offsets = [number for tap in taps for number in tap]
        super().__init__(sizes, {"offsets": offsets}, {"weight": weight, "bias": bias, "x": x, "y": y, **gradients})


class Network:
    """A list of layers whose maps follow one another, for a batch of images."""

    def __init__(self, layers: Sequence[Recurrent | Causal]) -> None:
        self._layers = list(layers)
        self.images: int = layers[0].images
        pointers: list[int | None] = []
        for layer in layers:
            address = ctypes.addressof(layer)
            pointers += [None, address] if isinstance(layer, Recurrent) else [address, None]
        self._steps = (ctypes.c_void_p * len(pointers))(*pointers)

    def forward_rows(self, first: int, end: int) -> None:
        """Whole rows, every direction; the images split among threads."""
        _in_parallel(lambda _, a, b: self._call("forward_rows", first, end, a, b), self.images)

    def forward_pixel(self, row: int, column: int) -> None:
        """One pixel; mirrored directions count as far as their rows were ended."""
        _check(self._call("forward_pixel", row, column, 0, self.images))

    def end_row(self, row: int) -> None:
        """The mirrored directions of a row whose pixels are done."""
        _in_parallel(lambda _, a, b: self._call("end_row", row, a, b), self.images)

    def _call(self, name: str, *numbers: int) -> int:
        function = getattr(_compiled(), name)
        return function(self._steps, *map(ctypes.c_long, (len(self._layers), *numbers)))


def _threads(images: int) -> int:
    return max(1, min(torch.get_num_threads(), images))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lstm2d")


def _in_parallel(work: Callable[[int, int, int], int], images: int) -> None:
    """``work(part, first, end)`` over the images, split among as many threads as torch uses."""
    threads = _threads(images)
    ends = [images * k // threads for k in range(threads + 1)]
    parts = [(k, ends[k], ends[k + 1]) for k in range(threads)]
    if threads == 1:
        _check(work(*parts[0]))
    else:  # foreign functions let go of the interpreter's lock
        _check(max(_pool(threads).map(lambda part: work(*part), parts)))


def _check(failed: int) -> None:
    if failed:
        raise MemoryError("not enough memory for the scratch space of an LSTM layer")


class ResidualSweep(torch.autograd.Function):
    """`genlib.layers.lstm2d_eager.residual_sweep` by the kernel, with its gradient."""

    @staticmethod
    def forward(ctx: Any, sweep: Sweep, x: Tensor, weight: Tensor, bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
        x, weight, bias, up, up_bias = (t.contiguous() for t in (x, weight, bias, up, up_bias))
        shape = (len(weight), *x.shape[:3])
        kept = {"state": x.new_empty(*shape, len(up)), "cell": x.new_empty(*shape, len(up))}
        if any(ctx.needs_input_grad):
            kept["gates"] = x.new_empty(*shape, weight.shape[-1])
            ctx.sweep = sweep
            ctx.save_for_backward(x, weight, bias, up, up_bias, *kept.values())
        y = torch.empty_like(x)
        if x.numel():
            layer = Recurrent(sweep, x, y=y, weight=weight, bias=bias, up=up, up_bias=up_bias, **kept)
            Network([layer]).forward_rows(0, x.shape[0])
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, up, up_bias, state, cell, gates = ctx.saved_tensors
        weights = (weight, bias, up, up_bias)
        d_x = torch.empty_like(x)
        layer = Recurrent(
            ctx.sweep, x, weight=weight, bias=bias, up=up, up_bias=up_bias, state=state, cell=cell, gates=gates,
            weight_t=weight.transpose(1, 2).contiguous(), up_t=up.t().contiguous(), d_y=d_y.contiguous(), d_x=d_x,
        )  # fmt: skip
        return None, d_x, *_weight_gradients("backward", layer, weights)


class Pointwise(torch.autograd.Function):
    """[relu] (bias + [relu] x weight), x [..., in], weight [in, out]: one pass forward and one back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, relu_before: bool, relu_after: bool) -> Tensor:
        x, weight, bias = (t.contiguous() for t in (x, weight, bias))
        ctx.relus = relu_before, relu_after
        y = x.new_empty(*x.shape[:-1], len(bias))
        ctx.save_for_backward(x, weight, bias, y)
        if x.numel():
            Network([Causal([(0, 0)], weight, bias, _as_one_pixel(x), _as_one_pixel(y), relus=ctx.relus)]).forward_rows(
                0, 1
            )
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, y = ctx.saved_tensors
        d_x = torch.empty_like(x)
        layer = Causal(
            [(0, 0)], weight, bias, _as_one_pixel(x), _as_one_pixel(y), relus=ctx.relus,
            weight_t=weight.t().contiguous(), d_y=d_y.contiguous(), d_x=d_x,
        )  # fmt: skip
        return d_x, *_weight_gradients("plain_backward", layer, (weight, bias)), None, None


def _as_one_pixel(x: Tensor) -> Tensor:
    """[..., features] -> [1, 1, all, features]: where pixels have no neighbours they are like images."""
    return x.view(1, 1, -1, x.shape[-1])


def _weight_gradients(name: str, layer: Recurrent | Causal, weights: Sequence[Tensor]) -> list[Tensor]:
    """Run a layer backwards, which writes its ``d_x``; gives the gradients of its weights."""
    sizes = [t.numel() for t in weights]
    sums = weights[0].new_zeros(_threads(layer.images), sum(sizes))  # a row for each thread
    function = getattr(_compiled(), name)

    def work(part: int, first: int, end: int) -> int:
        where = ctypes.c_void_p(sums[part].data_ptr())
        return function(ctypes.byref(layer), ctypes.c_long(first), ctypes.c_long(end), where)

    if layer.images:
        _in_parallel(work, layer.images)
    return [g.view_as(t) for g, t in zip(sums.sum(0).split(sizes), weights, strict=True)]
