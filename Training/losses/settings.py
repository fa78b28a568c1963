"""Weights and constants of the training losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from Training.config_file import setting


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms of the loss; a term of weight 0 is not computed. All defaults are design values.

    Attributes:
        l1: mean absolute error; `reconstruction.weighted_l1`.
        l2: mean squared error of the whole map; `reconstruction.weighted_l2`. Its best map is the conditional mean,
            unbiased in averages over a region; that of L1 is the median, which is lower where values are skewed.
        ssim: 1 − structural similarity; `reconstruction.ssim_loss`.
        roi: how much more a voxel of the lesion counts in the L1 term of the whole map (4: five times).
        global_roi: the same for the L1 term of the global module.
        global_share: weight of the reconstruction terms of the global module in the joint stage, where they are an
            auxiliary task: the whole map has terms of its own.
        scale: likelihood of the Laplace scale; `reconstruction.laplace_scale_loss`.
        frequency: `frequency.focal_frequency_loss`.
        low_pass_residual: low-pass part of the residual outside the lesion; `reconstruction.low_pass_residual`.
        adversarial: conditional discriminator (global module, single networks).
        r1, r1_every: R1 penalty γ of every discriminator, computed on every n-th step.
        path_length, path_length_every: path length of the style, computed on every n-th step.
        random_style: share of the steps whose adversarial terms see a random style and noise inputs.
        nce: contrastive perfusion-aware term; `contrast.info_nce`.
        descriptor: descriptor term of the perfusion-aware constraint; `contrast.descriptor_loss`.
        temperature, false_negative: τ and δ of the contrastive term.
        floor: weight of a patch outside the lesion; inside, its share of lesion is added.
        patches: edges of the patches in pixels; neighbouring patches overlap by half.
        residual_adversarial: discriminator on crops of the residual around the lesion (local module).
        crop: edge of those crops in pixels.
        texture_on_single: whether networks without a local module get the terms `nce` and `descriptor` as well.
        pix2pix_l1, pix2pix_gan: Pix2Pix only: weight of its L1 term and kind of its adversarial loss.
        refiner: velocity of the rectified-flow refiner.
    """

    l1: float = 10.0
    l2: float = 5.0
    ssim: float = 1.0
    roi: float = 4.0
    global_roi: float = 4.0
    global_share: float = 1.0
    scale: float = 0.5
    frequency: float = 0.05
    low_pass_residual: float = 1.0
    adversarial: float = 0.05
    r1: float = 1.0
    r1_every: int = setting(16, least=1)
    path_length: float = 0.0
    path_length_every: int = setting(8, least=1)
    random_style: float = setting(0.5, most=1)
    nce: float = 0.02
    descriptor: float = 0.1
    temperature: float = setting(0.1, above=0)
    false_negative: float = 0.5
    floor: float = 0.05
    patches: tuple[int, ...] = setting((8, 16), least=4, most=64)
    residual_adversarial: float = 0.02
    crop: int = setting(32, least=16, most=256)
    texture_on_single: bool = False
    pix2pix_l1: float = 100.0
    pix2pix_gan: Literal["bce", "lsgan"] = "bce"
    refiner: float = 1.0
