r"""Mask R-CNN over LIFE-ViT from four starts, at the settings that a sweep chose for two of them.

Needs: of the study pretraining the runs `--arms glyphs 'glyphs class token' --x 3000 --seeds 0`.
Costs: 20 runs of four minutes on one CPU core beside another.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/transfer_starts.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './transfer_det.py'

_init = 'model.backbone.init_cfg'
_scratch, _glyphs = _base_.arms

title = 'Mask R-CNN over LIFE-ViT: two ways to start from scratch, two from glyphs'
question = (
    'How much of what pre-training brings depends on how weights are drawn without it, and on what '
    'the classifier classified, the mean of its patches or its class token? All arms train with '
    'the settings that the sweep of transfer_det chose for both of its own.'
)
x = dict(_delete_=True, name=_base_.x.name, values=[_base_.x['values'][2]])
sweep = None
arms = [
    _scratch,
    dict(_scratch, name='from scratch, DeiT init', options={_init: None}),
    _glyphs,
    dict(
        _glyphs,
        name='from glyphs, class token',
        options={
            f'{_init}.checkpoint': '{studies}/pretraining/glyphs-class-token_3000_seed0/final.pth'
        },
    ),
]
# lr 1.5e-3, decay 0.2.
options = _base_.sweep.candidates[3].options
