r"""Mask R-CNN over LIFE-ViTs that went on training, with nothing more and calibrated.

Needs: with the same seeds, of the study calibration the runs `--arms blank 'token, then dimension'
'token, then dimension, automatic' --x nothing`.
Costs: 15 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/calibration_det.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './transfer_starts.py'  # metrics, and the settings that a sweep chose

title = 'Mask R-CNN over LIFE-ViT, calibrated and not'
question = (
    'Is a classifier whose decisions were made to rest on the foreground, then on few dimensions, '
    'a better start for a detector of the same digits than one that only trained on? And if no '
    'mask told it where the foreground is (automatic)? Each run starts from the LIFE-ViT that the '
    'study calibration trained with the same seed. All arms train with the settings that the sweep '
    'of transfer_det chose for both of its own.'
)


def _arm(name):
    """Fine-tune the backbone of a run of the study calibration."""
    run = name.replace(',', '').replace(' ', '-')
    checkpoint = f'{{studies}}/calibration/{run}_nothing_seed{{seed}}/final.pth'
    return dict(
        name=name,
        config='configs/digits/mask-rcnn_life-d6w96_digits-det.py',
        options={'model.backbone.init_cfg.checkpoint': checkpoint},
    )


arms = [
    _arm('blank'),
    _arm('token, then dimension'),
    _arm('token, then dimension, automatic'),
]
control = 'blank'
