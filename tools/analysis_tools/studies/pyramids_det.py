r"""Mask R-CNN over Swin V2 with and without LIFE, from scratch and from glyphs, each arm tuned.

Needs: of the study pyramids, with the same seeds and with 100, that of the sweep, the runs
`--arms 'Swin V2' 'Swin V2 LIFE, grid'`.
Costs: 16 runs of the sweep and 20 final ones, of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/pyramids_det.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './transfer_det.py'  # metrics, draws of scenes and the sweep

title = 'Mask R-CNN over Swin V2 and its LIFE, from scratch and from glyphs'
question = (
    'Does what a pyramid learned from glyphs pay a detector of digits, and does LIFE? Each run '
    'from glyphs starts from the classifier that the study pyramids trained with the same seed; '
    'all arms train equally long, each with the learning rate that a sweep chose for it on '
    'held-out training scenes.'
)
x = dict(_delete_=True, name=_base_.x.name, values=[_base_.x['values'][2]])
_start = 'model.backbone.init_cfg'
_weights = '{{studies}}/pyramids/{}_12000_seed{{seed}}/final.pth'
arms = [
    dict(name=name, config=f'configs/digits/mask-rcnn_{model}_digits-det.py', options=options)
    for name, model, options in (
        ('Swin V2, from scratch', 'swinv2-d6w48', {_start: _base_._init}),
        (
            'Swin V2, from glyphs',
            'swinv2-d6w48',
            {f'{_start}.checkpoint': _weights.format('swin-v2')},
        ),
        ('LIFE, from scratch', 'life-swinv2-d6w48', {_start: _base_._init}),
        (
            'LIFE, from glyphs',
            'life-swinv2-d6w48',
            {f'{_start}.checkpoint': _weights.format('swin-v2-life-grid')},
        ),
    )
]
control = 'Swin V2, from glyphs'
_higher = dict(
    name='lr 0.006, decay 0.05, backbone x1',
    options={**_base_.sweep.candidates[0]['options'], 'optim_wrapper.optimizer.lr': 6e-3},
)
sweep = dict(candidates=[*_base_.sweep.candidates[:3], _higher])  # the rates
