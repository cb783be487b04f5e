r"""Mask R-CNN over LIFE-ViT from scratch and from glyphs, each arm tuned at the same cost.

Needs: the run `--arms glyphs --x 3000 --seeds 0` of the study pretraining.
Costs: 10 runs of the sweep and 50 final ones; one of 600 iterations takes four minutes
on one CPU core beside another.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/transfer_det.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './_base_/transfer.py'

_config = 'configs/digits/mask-rcnn_life-d6w96_digits-det.py'
_data = 'data/digit_scenes/detection/annotations/'

title = 'Mask R-CNN over LIFE-ViT, from scratch and from glyphs'
question = (
    'Where does pre-training on glyphs, none of them a digit, pay on scenes of digits? Both arms '
    'train equally long, each with the learning rate, weight decay and rate of the backbone that '
    'a sweep chose for it on held-out training scenes.'
)
metrics = [
    dict(key='coco/bbox_mAP', name='box AP', unit='%', scale=100),
    dict(key='coco/segm_mAP', name='mask AP', unit='%', scale=100),
    *[
        dict(key=f'coco/{key}', name=name, unit='%', scale=100, report='detail')
        for key, name in (
            ('bbox_mAP_50', 'box AP50'),
            ('bbox_mAP_75', 'box AP75'),
            ('bbox_AR@100', 'box AR'),
            ('bbox_mAP_agnostic', 'box AP, classes ignored'),
            ('segm_mAP_50', 'mask AP50'),
            ('segm_mAP_75', 'mask AP75'),
            ('bbox_tide_cls', 'lost to wrong classes'),
            ('bbox_tide_loc', 'lost to wrong places'),
            ('bbox_tide_both', 'lost to both'),
            ('bbox_tide_dupe', 'lost to doubles'),
            ('bbox_tide_bkg', 'lost to background'),
            ('bbox_tide_miss', 'lost to misses'),
        )
    ],
]
arms = [dict(arm, config=_config) for arm in _base_.arms]
options = {
    'test_evaluator': dict(
        _delete_=True,
        type='mmpretrain.DiagnosedCocoMetric',
        ann_file=_data + 'instances_val.json',
        metric=['bbox', 'segm'],
    )
}
sweep = dict(
    metric='coco/bbox_mAP',
    options={
        'test_dataloader.dataset.ann_file': 'annotations/instances_train.json',
        'test_dataloader.dataset.data_prefix.img': 'train/',
        'test_dataloader.dataset.indices': [*range(1200, 1500)],
        'test_evaluator.ann_file': _data + 'instances_train.json',
    },
)
