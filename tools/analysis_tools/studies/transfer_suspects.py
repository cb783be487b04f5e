r"""What could keep a Mask R-CNN from profiting by pre-training, one suspect an arm.

Needs: of the study pretraining the runs `--seeds 0` of glyphs at 3,000 and 12,000, of the class
token and digits at 3,000, and of digits at 500 iterations.
Costs: 42 runs of 300 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/transfer_suspects.py \
        --workers 2
"""

_base_ = './transfer_det.py'


def _arm(name, options=None, start='glyphs_3000'):
    """The arm `from glyphs`, changed in one respect; `start` is a run of the study pretraining."""
    checkpoint = f'{{studies}}/pretraining/{start}_seed0/final.pth'
    options = {'model.backbone.init_cfg.checkpoint': checkpoint, **(options or {})}
    return dict(name=name, config=_base_._config, options=options)


_frozen = {'model.backbone.frozen_stages': 6}
_init = 'model.backbone.init_cfg'
_rate = 'optim_wrapper.optimizer.lr'
_group_norm = dict(type='GN', num_groups=8)

title = 'What keeps a Mask R-CNN from profiting by pre-training'
question = (
    'The control starts from glyphs and trains 300 iterations on 100 scenes with the settings of '
    'its config. Each other arm differs from it in one respect.'
)
x = dict(_delete_=True, name='training scenes', values=[dict(value=100)])
iterations = 300
sweep = None
arms = [
    _arm('from glyphs'),
    dict(name='from scratch', config=_base_._config, options={_init: _base_._init}),
    dict(name='from scratch, DeiT init', config=_base_._config, options={_init: None}),
    _arm('a third of the rate', {_rate: 5e-4}),
    _arm('heads first', {'custom_hooks': [dict(type='mmpretrain.HeadsFirstHook', iters=100)]}),
    _arm('layer decay 0.75', {'optim_wrapper.paramwise_cfg': dict(layer_decay_rate=0.75)}),
    _arm('stretched positions', {'model.backbone.interpolate_mode': 'bicubic'}),
    _arm('global attention', {'model.backbone.window_size': 0}),
    _arm('class-token classifier', start='glyphs-class-token_3000'),
    _arm('glyphs, 12,000 its', start='glyphs_12000'),
    _arm('digits, 3,000 its', start='digits_3000'),
    _arm('digits, 500 its', start='digits_500'),
    _arm(
        'heads with norms',
        {
            'model.roi_head.bbox_head': dict(
                type='ConvFCBBoxHead',
                num_shared_convs=1,
                num_shared_fcs=1,
                conv_out_channels=64,
                norm_cfg=_group_norm,
            ),
            'model.roi_head.mask_head.norm_cfg': _group_norm,
        },
    ),
    _arm('frozen', _frozen),
    dict(name='frozen, random', config=_base_._config, options={_init: _base_._init, **_frozen}),
]
control = 'from glyphs'
