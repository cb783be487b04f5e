"""Dense Attention Roll-Out: where detectors and segmentors looked for each class, and each token
(LIFE, arXiv 2305.08551, whose abstract names the method; the definition is our design).
"""

from .capture import Capture, capture
from .dense_rollout import (
    ClassMaps,
    InstanceMap,
    choose_classes,
    class_label,
    class_names,
    dense_rollout,
    roll_maps,
)
from .explicit import explicit_matrix
from .file_names import file_names
from .hook import DenseRolloutHook
from .overlay import overlay, upsample
from .roll import roll_back, token_rows
from .token_sets import TokenSet, TokenSets, find_token_sets, token_areas, token_overlaps

__all__ = [
    'Capture',
    'ClassMaps',
    'DenseRolloutHook',
    'InstanceMap',
    'TokenSet',
    'TokenSets',
    'capture',
    'choose_classes',
    'class_label',
    'class_names',
    'dense_rollout',
    'explicit_matrix',
    'file_names',
    'find_token_sets',
    'overlay',
    'roll_back',
    'roll_maps',
    'token_areas',
    'token_overlaps',
    'token_rows',
    'upsample',
]
