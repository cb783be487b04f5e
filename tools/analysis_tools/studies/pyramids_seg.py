r"""UPerNet over Swin V2 with and without LIFE, from scratch and from glyphs, each arm tuned.

Needs: as pyramids_det.py.
Costs: 16 runs of the sweep and 20 final ones, of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/pyramids_seg.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = ['./pyramids_det.py', './_base_/upernet.py']

title = 'UPerNet over Swin V2 and its LIFE, from scratch and from glyphs'
question = (
    'Does what a pyramid learned from glyphs pay a segmentor of digits, and does LIFE? Each run '
    'from glyphs starts from the classifier that the study pyramids trained with the same seed; '
    'all arms train equally long, each with the learning rate that a sweep chose for it on '
    'held-out training scenes.'
)
metrics = _base_._metrics
arms = [
    dict(arm, config=arm.config.replace('mask-rcnn', 'upernet').replace('-det', '-seg'))
    for arm in _base_.arms
]
options = dict(_delete_=True)
sweep = dict(
    candidates=[*_base_.sweep.candidates[:3], _base_._lower],
    metric='mIoU',
    options=dict(_delete_=True, **_base_._held_out),
)
