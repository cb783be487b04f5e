r"""Mask R-CNN over LIFE-ViTs of the study token_labels: from image labels and from token labels.

Needs: of the study token_labels, with the same seeds, the runs `--arms 'LIFE, image labels'
'LIFE, annotated' 'LIFE, from masks'`.
Costs: 45 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/token_labels_det.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './transfer_starts.py'  # metrics, and the settings that a sweep chose

title = 'Mask R-CNN over LIFE-ViT, from image labels and from token labels'
question = (
    'Is a backbone a better start for a detector of digits where every patch of its glyphs had a '
    'label, be it from an annotator or from masks? Each run starts from the LIFE-ViT that the '
    'study token_labels trained with the same seed; all arms train with the settings that the '
    'sweep of transfer_det chose for both of its own.'
)
x = dict(
    _delete_=True,
    name='training scenes and backbone',
    values=[
        dict(value='30 scenes', scenes=30),
        dict(value='100 scenes', scenes=100),
        dict(value='100 scenes, frozen', scenes=100, options={'model.backbone.frozen_stages': 6}),
    ],
)
iterations = 600


def _arm(name, run):
    """Fine-tune the backbone of a run of the study token_labels."""
    checkpoint = f'{{studies}}/token_labels/{run}_12000_seed{{seed}}/final.pth'
    return dict(
        name=name,
        config='configs/digits/mask-rcnn_life-d6w96_digits-det.py',
        options={'model.backbone.init_cfg.checkpoint': checkpoint},
    )


arms = [
    _arm('image labels', 'life-image-labels'),
    _arm('annotator', 'life-annotated'),
    _arm('masks', 'life-from-masks'),
]
control = 'image labels'
