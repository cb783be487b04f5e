r"""UPerNet over a plain ViT and, at as many multiply-adds, one that shares maps, pools or both.

Needs: as psvit_det.py.
Costs: 24 runs of the sweep and 20 final ones, of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/psvit_seg.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = ['./psvit_det.py', './_base_/upernet.py']

title = 'UPerNet over PSViT at the multiply-adds of a plain ViT'
question = (
    'Where classifiers cost the same, what do shared attention maps, pooled tokens and both leave '
    'to a segmentor? Each run starts from the classifier of glyphs that the study psvit trained '
    'with the same seed; all arms train equally long, each with the learning rate that a sweep '
    'chose for it on held-out training scenes. A pooled '
    'backbone gives maps of strides 8 and 16, the others one of stride 8, of which a feature '
    'pyramid makes more.'
)
metrics = _base_._metrics
arms = [
    dict(arm, config=arm.config.replace('mask-rcnn', 'upernet').replace('-det', '-seg'))
    for arm in _base_.arms
]
options = dict(_delete_=True)
# Pooled backbones were far better at 0.003, the highest of the detectors', than at 0.0015.
_higher = [
    dict(
        name=f'lr {rate:g}, decay 0.05, backbone x1',
        options=dict(_base_._lower.options, **{'optim_wrapper.optimizer.lr': rate}),
    )
    for rate in (0.006, 0.012, 0.024)
]
sweep = dict(
    candidates=[*_base_.sweep.candidates, *_higher],
    metric='mIoU',
    options=dict(_delete_=True, **_base_._held_out),
)
