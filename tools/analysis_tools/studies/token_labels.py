r"""Labels of images, of patches by an annotator, and of patches by masks, with three backbones.

Needs: two stores of label maps of glyphs, that of configs/_base_/datasets/glyphs_token-labels.py
and that of an annotator whose head has learned from the mean of patches, from the run
`--arms glyphs --x 12000 --seeds 0` of the study pretraining:
`python tools/dataset_converters/make_token_labels.py configs/glyphs/life-d6w96_glyphs-cls.py
work_dirs/study/pretraining/glyphs_12000_seed0/final.pth
--cfg-options model.backbone.out_type=avg_featmap
--out data/glyph_scenes/classification/annotated`.
Costs: 45 runs of 1,000 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/token_labels.py \
        --seeds 0 1 2 3 4 --workers 2
"""

iterations = 1000  # the budget of every run; batch 32

title = 'Token labels on glyphs'
question = (
    'What does a label for every patch bring a small ViT that classifies glyphs of 96 classes, and '
    'does it matter whether a classifier or the masks say it? The annotator is a LIFE-ViT that '
    f'trained 12,000 iterations on the same training images; all arms train {iterations}.'
)
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]
x = dict(name='training images', values=[dict(value=12000)])

_labels = 'train_dataloader.dataset.pipeline.1'
_kinds = {
    # The class token is trained on the image's label in all of them.
    'image labels': {'model.head.dense_weight': 0.0},
    'annotated': {
        f'{_labels}.store': 'data/glyph_scenes/classification/annotated',
        f'{_labels}.num_classes': 96,
        'model.head.num_token_classes': 96,
        'model.class_target': 'label',
    },
    'from masks': {},
}


def _arm(backbone, config, kind):
    """An arm of a backbone and a kind of labels; transfer starts from it."""
    return dict(
        name=f'{backbone}, {kind}',
        config=f'configs/glyphs/{config}-d6w96_glyphs-cls.py',
        options=_kinds[kind],
        keep_checkpoint=True,
        against=None if kind == 'image labels' else f'{backbone}, image labels',
    )


arms = [
    _arm(backbone, config, kind)
    for backbone, config in (
        ('DeiT', 'token-label-deit'),
        ('LIFE', 'token-label-life'),
        ('LV-ViT', 'lv-vit'),
    )
    for kind in _kinds
]
control = 'LIFE, image labels'
