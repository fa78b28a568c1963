"""Building blocks of the two synthesis networks."""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """No autocast inside: for sums of squares, logarithms and spectra, which half precision cannot hold."""
    return torch.autocast(device_type=device.type, enabled=False)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU with the slope that all networks here share."""
    return functional.leaky_relu(x, SLOPE)


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution with He initialisation for `activate` and zero bias (no normalisation layer follows)."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def upsample(x: Tensor) -> Tensor:
    """Twice the size, bilinear."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """x + conv(conv(x)); the second convolution starts at zero, so that a deep stack needs no normalisation layers.

    Normalising by image statistics would make a voxel's value depend on how tightly the slice was cropped.
    Source of the initialisation: Zhang, Dauphin and Ma, "Fixup initialization", ICLR 2019.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        residual: Tensor = self.second(activate(self.first(x)))
        return activate(x + residual)


class ModulatedConvolution(nn.Module):
    """Convolution whose input channels are scaled by a style and whose output is demodulated to a fixed variance.

    y = d · conv(s ⊙ x), d_o = √2 / sqrt(Σ_{i,k} (w_oik · s_i)² + ε); √2 makes up for the activation that follows.
    Scaling the activations instead of the weights is the same mathematics as a per-sample kernel, but needs no grouped
    convolution (slow on CPUs, awkward in ONNX).
    Source: Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, eq. 1–3.
    """

    def __init__(self, inputs: int, outputs: int, style: int, kernel: int = 3, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / math.sqrt(inputs * kernel * kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.style = nn.Linear(style, inputs)
        nn.init.normal_(self.style.weight, std=0.1 / math.sqrt(style))
        nn.init.ones_(self.style.bias)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (B, I, H, W), w (B, style) → (B, O, H, W)."""
        scale = self.style(w)
        y = functional.conv2d(x * scale[:, :, None, None], self.weight, padding=self.weight.shape[-1] // 2)
        if self.demodulate:
            with full_precision(x.device):
                energy = scale.float().square() @ self.weight.float().square().sum(dim=(2, 3)).t()
                demodulation = math.sqrt(2.0) * torch.rsqrt(energy + 1e-8)
            y = y * demodulation[:, :, None, None].to(y.dtype)
        return y + self.bias[None, :, None, None].to(y.dtype)


class StyledLayer(nn.Module):
    """Modulated convolution, optional noise of learnt strength, activation."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, style)
        self.noise_strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, w: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, I, H, W) → (B, O, H, W); `generator` draws the noise, None means no noise (deterministic)."""
        y: Tensor = self.convolution(x, w)
        if generator is not None:
            noise = torch.randn(y.shape[0], 1, *y.shape[2:], generator=generator, device=generator.device)
            y = y + self.noise_strength * noise.to(y.device, y.dtype)
        return activate(y)


def haar_details(image: Tensor) -> Tensor:
    """The three detail bands of one level of the orthonormal Haar transform.

    Args:
        image: (B, 1, H, W), H and W even.

    Returns:
        (B, 3, H/2, W/2): LH (difference along the last axis), HL (along the first image axis), HH (both).
        Source: Mallat, "A wavelet tour of signal processing", 3rd ed., section 7.7.
    """
    a = image[..., 0::2, 0::2]
    b = image[..., 0::2, 1::2]
    c = image[..., 1::2, 0::2]
    d = image[..., 1::2, 1::2]
    return torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], dim=1) / 2
