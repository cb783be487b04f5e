r"""UPerNet over LIFE-ViT from scratch and from glyphs, each arm tuned at the same cost.

Needs: the run `--arms glyphs --x 3000 --seeds 0` of the study pretraining.
Costs: as many runs as transfer_det.py, each a little shorter.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/transfer_seg.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = ['./_base_/transfer.py', './_base_/upernet.py']

title = 'UPerNet over LIFE-ViT, from scratch and from glyphs'
question = (
    'Where does pre-training on glyphs, none of them a digit, pay a segmentor of scenes of digits? '
    'Both arms train equally long, each with the learning rate, weight decay and rate of the '
    'backbone that a sweep chose for it on held-out training scenes.'
)
metrics = _base_._metrics
options = _base_._width
arms = [dict(arm, config=_base_._segmentor) for arm in _base_.arms]
sweep = dict(
    candidates=[*_base_.sweep.candidates, _base_._lower], metric='mIoU', options=_base_._held_out
)
