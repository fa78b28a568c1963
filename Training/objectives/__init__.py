"""What each stage of each method trains: one file per stage or method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from HierSynthLib.synthesis.baselines import Pix2Pix
from HierSynthLib.synthesis.networks import TwoStageNetwork
from Training.config import StageConfig, TrainingConfig
from Training.objectives.base import Group, Objective
from Training.objectives.global_stage import GlobalObjective
from Training.objectives.joint_stage import JointObjective
from Training.objectives.local_stage import LocalObjective
from Training.objectives.parts import Parts
from Training.objectives.pix2pix import Pix2PixObjective
from Training.objectives.refiner import RefinerObjective
from Training.objectives.single import SingleObjective

__all__ = ["Group", "Objective", "stages"]


def stages(
    config: TrainingConfig, network: nn.Module, area: float
) -> list[tuple[StageConfig, Callable[[], Objective]]]:
    """The stages of `config.method` in the order in which they run; those of 0 steps are left out.

    A single network runs once, for the steps of all stages of HierSynth together, with batch and rate of the global
    one.

    Args:
        config: the settings of the run.
        network: the network of `config.method` on its device; further modules are made here, once for all stages.
        area: mean number of brain voxels per training slice.
    """
    parts = Parts(config, network, area)
    if not isinstance(network, TwoStageNetwork):
        steps = config.global_stage.steps + config.local_stage.steps + config.joint_stage.steps
        stage = replace(config.global_stage, steps=steps)
        if isinstance(network, Pix2Pix):
            return [(stage, lambda: Pix2PixObjective(parts, network, stage))]
        return [(stage, lambda: SingleObjective(parts, stage))]
    plan: list[tuple[StageConfig, Callable[[], Objective]]] = [
        (config.global_stage, lambda: GlobalObjective(parts, network, config.global_stage)),
        (config.local_stage, lambda: LocalObjective(parts, network, config.local_stage)),
        (config.joint_stage, lambda: JointObjective(parts, network, config.joint_stage)),
        (config.refiner_stage, lambda: RefinerObjective(parts, network, config.refiner_stage)),
    ]
    return [(stage, make) for stage, make in plan if stage.steps > 0]
