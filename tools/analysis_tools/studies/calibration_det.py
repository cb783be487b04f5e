r"""Mask R-CNN over LIFE-ViTs that went on training, with nothing more and calibrated.

Needs: with the same seeds, of the study calibration_bases the runs `--x nothing`, and of the study
calibration the runs `--arms blank token dimension 'token, then dimension' --x nothing`.
Costs: 25 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/calibration_det.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './transfer_starts.py'  # metrics, and the settings that a sweep chose

title = 'Mask R-CNN over LIFE-ViT, calibrated and not'
question = (
    'Is a classifier whose decisions were made to rest on the foreground, or on few dimensions, a '
    'better start for a detector of the same digits than one that only trained on? Each run starts '
    'from the LIFE-ViT that the study calibration trained with the same seed; base has not trained '
    'on. All arms train with the settings that the sweep of transfer_det chose for both of its own.'
)


def _arm(name, run):
    """Fine-tune the backbone of a run of another study."""
    checkpoint = f'{{studies}}/{run}_nothing_seed{{seed}}/final.pth'
    return dict(
        name=name,
        config='configs/digits/mask-rcnn_life-d6w96_digits-det.py',
        options={'model.backbone.init_cfg.checkpoint': checkpoint},
    )


arms = [
    _arm('base', 'calibration_bases/life'),
    _arm('blank', 'calibration/blank'),
    _arm('token', 'calibration/token'),
    _arm('dimension', 'calibration/dimension'),
    _arm('token, then dimension', 'calibration/token-then-dimension'),
]
control = 'blank'
