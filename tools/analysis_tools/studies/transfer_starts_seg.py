r"""UPerNet over LIFE-ViT from four starts, at the settings that a sweep chose for two of them.

Needs: as transfer_starts.py.
Costs: 20 runs of two minutes on one CPU core beside another.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/transfer_starts_seg.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = ['./transfer_starts.py', './_base_/upernet.py']

title = 'UPerNet over LIFE-ViT: two ways to start from scratch, two from glyphs'
question = (
    'How much of what pre-training brings depends on how weights are drawn without it, and on what '
    'the classifier classified, the mean of its patches or its class token? All arms train with '
    'the settings that the sweep of transfer_seg chose for both of its own.'
)
metrics = _base_._metrics
arms = [dict(arm, config=_base_._segmentor) for arm in _base_.arms]
options = _base_._tuned
