r"""UPerNet over LIFE-ViTs that went on training, with nothing more and calibrated.

Needs: as calibration_det.py.
Costs: 15 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/calibration_seg.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = ['./calibration_det.py', './_base_/upernet.py']

title = 'UPerNet over LIFE-ViT, calibrated and not'
question = (
    'Is a classifier whose decisions were made to rest on the foreground, then on few dimensions, '
    'a better start for a segmentor of the same digits than one that only trained on? And if no '
    'mask told it where the foreground is (automatic)? Each run starts from the LIFE-ViT that the '
    'study calibration trained with the same seed. All arms train with the settings that the sweep '
    'of transfer_seg chose for both of its own.'
)
metrics = _base_._metrics
arms = [dict(arm, config=_base_._segmentor) for arm in _base_.arms]
options = _base_._tuned
