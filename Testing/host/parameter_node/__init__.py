"""The module `slicer.parameterNodeWrapper`: a parameter node of the scene as an object with typed attributes.

Followed: Base/Python/slicer/parameterNodeWrapper of Slicer. Of its types it has str, bool, int, float and the MRML
nodes.
"""

from Testing.host.parameter_node.annotations import Choice, Default, Maximum, Minimum, WithinRange
from Testing.host.parameter_node.wrapper import parameterNodeWrapper

__all__ = ["Choice", "Default", "Maximum", "Minimum", "WithinRange", "parameterNodeWrapper"]
