"""Every method and combination: classified on glyphs, transferred to digit scenes.

Needs: `python tools/dataset_converters/glyph_scenes.py` and `…/digit_scenes.py`, and label maps of
glyphs, by the command in configs/_base_/datasets/glyphs_token-labels.py.
Command::

    python tools/analysis_tools/scoreboard.py --workers 2

A new method is one more line of `rows`.
"""

title = 'Scoreboard'
question = (
    'What does each method, and each combination, bring to a small model: where it is trained, on '
    'glyphs of 96 classes, and where it goes from there, to scenes of digits, which are none of '
    'them?'
)
seeds = [0, 1, 2]
control = 'DeiT'
draws = '../studies/scenes/first_1200_of_1500.json'

_dense = dict(iterations=300, scenes=100, data='data/digit_scenes/meta.json')
stages = dict(
    classification=dict(
        iterations=1000,
        data='data/glyph_scenes/meta.json',
        metrics=[dict(key='accuracy/top1', name='glyphs: top-1', unit='%')],
    ),
    # Of the frozen backbone, as segmentation starts from it, on the same scenes.
    probe=dict(
        metrics=[
            dict(key='logreg/mIoU', name='digits, frozen: mIoU', unit='%'),
            dict(
                key='knn/mIoU', name='digits, frozen: mIoU of neighbors', report='detail', unit='%'
            ),
        ],
    ),
    detection=dict(
        _dense,
        config='configs/digits/mask-rcnn_life-d6w96_digits-det.py',
        metrics=[
            dict(key='coco/bbox_mAP', name='digits: box AP', unit='%', scale=100),
            dict(key='coco/segm_mAP', name='digits: mask AP', unit='%', scale=100),
        ],
    ),
    segmentation=dict(
        _dense,
        config='configs/digits/upernet_life-d6w96_digits-seg.py',
        metrics=[dict(key='mIoU', name='digits: mIoU', unit='%')],
    ),
)

# Each window has the positions that the classifier's images had.
_tiled = {'model.backbone.interpolate_mode': 'tile'}
_deit = dict(
    config='configs/glyphs/deit-d6w96_glyphs-cls.py',
    # Plain attention sees beyond a window in the last layer alone, LIFE's convolutions everywhere.
    dense=_tiled | {'model.backbone.global_attn_indexes': (-1,)},
)
_life = dict(config='configs/glyphs/life-d6w96_glyphs-cls.py', dense=_tiled, against='LIFE')
_pooled = {'model.backbone.pool_before': (3,)}
_shared = {'model.backbone.pattern': 'FSFSFS'}
_psvit = 'configs/glyphs/psvit-d8w96-144_glyphs-cls.py'
_psvit_life = {'model.backbone.projection': dict(type='LIFEProjection')}
# The last two layers use one map: both see the whole scene, or both a window.
_global = _tiled | {'model.backbone.global_attn_indexes': (-2, -1)}


def _mixed(target):
    """Mix images, and let their labels be what `target` makes of them."""
    return dict(model=dict(type='TLAlignClassifier', mix=dict(type='PatchCutMix'), target=target))


# Within the budget: the last 300 iterations have half of them each.
_stages = [dict(begin=700, losses=['token']), dict(begin=850, losses=['dimension'])]


def _calibrated(model):
    """Let decisions rest on the foreground, then on few dimensions; masks say where it is."""
    config = f'configs/glyphs/calibrated-{model}-d6w96_glyphs-cls.py'
    return dict(config=config, options={'custom_hooks.0.stages': _stages})


def _labeled(model):
    """Classify the class token and every patch; labels of patches come from masks."""
    return dict(config=f'configs/glyphs/{model}-d6w96_glyphs-cls.py')


def _pyramid(model, dense=None):
    """Classify by a pyramid; detector and segmentor read all its maps."""
    return dict(
        config=f'configs/glyphs/{model}_glyphs-cls.py',
        detection=f'configs/digits/mask-rcnn_{dense or model}_digits-det.py',
        segmentation=f'configs/digits/upernet_{dense or model}_digits-seg.py',
    )


rows = [
    dict(_deit, name='DeiT'),
    dict(_deit, name='DeiT pooled', options=_pooled),
    dict(_deit, name='DeiT shared', options=_shared, dense=_global),
    dict(name='PSViT', config=_psvit, dense=_global),
    dict(_deit, name='DeiT + CutMix', options=_mixed('cutmix')),
    dict(_deit, name='DeiT + TransMix', options=_mixed('transmix')),
    dict(_deit, name='DeiT + TL-Align', options=_mixed('tl_align')),
    dict(_deit | _labeled('token-label-deit'), name='DeiT + token labels'),
    dict(_life, name='LIFE', against='DeiT'),
    dict(_life, name='LIFE pooled', options=_pooled),
    dict(_life, name='LIFE shared', options=_shared),
    dict(name='PSViT + LIFE', config=_psvit, options=_psvit_life, dense=_tiled, against='PSViT'),
    dict(_life, name='LIFE + CutMix', options=_mixed('cutmix')),
    dict(_life, name='LIFE + TransMix', options=_mixed('transmix')),
    dict(_life, name='LIFE + TL-Align', options=_mixed('tl_align')),
    dict(_life | _labeled('token-label-life'), name='LIFE + token labels'),
    dict(_deit | _calibrated('deit'), name='DeiT + calibration'),
    dict(_life | _calibrated('life'), name='LIFE + calibration'),
    # Its stem of convolutions sees beyond a window, its layers do not.
    dict(_deit | _labeled('lv-vit'), name='LV-ViT + token labels'),
    dict(_pyramid('swinv2-d6w48'), name='Swin V2'),
    dict(
        _pyramid('swinv2-d6w48', dense='life-swinv2-d6w48'),
        name='Swin V2 + LIFE',
        options={'model.backbone.projection': dict(type='LIFEProjection', scope='grid')},
        against='Swin V2',
    ),
    dict(_pyramid('cat-d6w51'), name='CAT'),
    dict(_pyramid('dwnet-d6w52'), name='DWNet'),
]

limits = [
    'Models of 6 layers on drawn scenes of 64 and 128 px, trained for minutes. It says nothing of '
    'ImageNet, COCO or ADE20K, of larger models or of longer training; mixing images, for one, '
    'is meant for schedules in which a model sees every image many times.',
    'No row was tuned: all have the learning rate, weight decay and augmentation of the plain '
    "ViT's config.",
    'In detectors and segmentors all ViTs attend within windows of 64 px, those of DeiT but for '
    "their last layer, which sees the whole scene; LIFE's convolutions see beyond a window anyway.",
    'Swin V2 attends within windows of 4 tokens, CAT within and between its windows, and DWNet '
    'convolves. The detectors and segmentors of these pyramids read the maps of all stages, the '
    'finest at 4 px, where those of ViTs make theirs of one map '
    'at 8 px: what is between a pyramid and a ViT there is not the backbone alone.',
    'Token labels and calibration know which patches are background, which no other row is told.',
    'The training step of calibrated rows is one of the 150 that calibrate tokens. The 700 before '
    'calibrate nothing; [the benchmark](benchmark.md) has what the last 150 cost.',
    "A layer that shares uses its source's map: in DeiT shared and PSViT the last two layers see "
    'the whole scene, in DeiT one.',
    'Above a pooling, a window of 8 tokens spans the whole scene of 128 px, which the pooled '
    'classifiers have not seen, and the others keep windows of the 64 px that they have.',
]
