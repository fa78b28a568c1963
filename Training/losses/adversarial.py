"""Adversarial losses and their regularisation; every one is a mean over the batch's slices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from HierSynthLib.synthesis.layers import full_precision
from Training.losses.statistics import RunningMean

Kind = Literal["non_saturating", "hinge", "bce", "lsgan"]


def generator_loss(fake: Tensor, kind: Kind) -> Tensor:
    """What the generator pays for logits of its maps, any shape.

    Sources: non-saturating (the same as "bce" for a generator), Goodfellow et al., NeurIPS 2014, section 3; hinge, Lim
    and Ye, arXiv:1705.02894; least squares, Mao et al., ICCV 2017, eq. 9.
    """
    if kind == "hinge":
        return -fake.float().mean()
    if kind == "lsgan":
        return (fake.float() - 1).square().mean()
    return functional.softplus(-fake.float()).mean()


def discriminator_loss(real: Tensor, fake: Tensor, kind: Kind) -> Tensor:
    """What the discriminator pays for logits of acquired and of synthetic maps; sources as in `generator_loss`.

    "bce" and "lsgan" are halved, as Pix2Pix does to slow the discriminator down (Isola et al., section 3.3).
    """
    real, fake = real.float(), fake.float()
    if kind == "hinge":
        return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
    if kind == "lsgan":
        return 0.5 * ((real - 1).square().mean() + fake.square().mean())
    loss = functional.softplus(-real).mean() + functional.softplus(fake).mean()
    return 0.5 * loss if kind == "bce" else loss


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """R1: ½ · mean over slices of ‖∂D(map)/∂map‖², at acquired maps.

    Args:
        discriminator: (B, C, H, W) → logits of each slice, any shape (B, …).
        real: (B, C, H, W).

    Source: Mescheder et al., "Which training methods for GANs do actually converge?", ICML 2018, eq. 9 (without γ).
    """
    with full_precision(real.device):
        picture = real.detach().float().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(picture).sum(), picture, create_graph=True)
        return 0.5 * slope.square().sum(dim=(1, 2, 3)).mean()


def path_length_penalty(
    synthesise: Callable[[Tensor], Tensor], style: Tensor, mean: RunningMean, step: int, generator: torch.Generator
) -> Tensor | None:
    """Mean over slices of (‖J_wᵀ y‖ − a)², y a normal random picture / √(H·W), a the running mean of the lengths.

    Steps of equal size in w then change the map equally, which keeps the random part of the style usable. None in the
    very first step, in which a is not known yet.

    Args:
        synthesise: w (B, style) → map (B, 1, H, W).
        style: (B, style), where the slope is taken; no gradient flows into the mapping network.
        mean: keeps a; of size 1.
        step: number of the training step.
        generator: draws y.

    Source: Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, eq. 4.
    """
    with full_precision(style.device):
        w = style.detach().float().requires_grad_()
        picture = synthesise(w)
        direction = torch.randn(picture.shape, generator=generator, device=generator.device).to(picture.device)
        direction = direction / math.sqrt(picture.shape[2] * picture.shape[3])
        (slope,) = torch.autograd.grad((picture * direction).sum(), w, create_graph=True)
        lengths = slope.square().sum(dim=1).clamp(min=1e-12).sqrt()
    mean.begin(step)
    known = mean.value.clone()
    mean.observe(lengths.sum().view(1), lengths.shape[0])
    return (lengths - known).square().mean() if mean.ready else None
