r"""Mask R-CNN over a plain ViT and, at as many multiply-adds, one that shares maps, pools or both.

Needs: of the study psvit, with the same seeds and with 100, that of the sweep, the runs
`--arms DeiT shared 'pooled 2D' 'both 2D'`.
Costs: 12 runs of the sweep and 20 final ones, of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/psvit_det.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './transfer_det.py'  # metrics, draws of scenes and the sweep

title = 'Mask R-CNN over PSViT at the multiply-adds of a plain ViT'
question = (
    'Where classifiers cost the same, what do shared attention maps, pooled tokens and both leave '
    'to a detector? Each run starts from the classifier of glyphs that the study psvit trained '
    'with the same seed; all arms train equally long, each with the learning rate that a sweep '
    'chose for it on held-out training scenes. A pooled '
    'backbone gives maps of strides 8 and 16, the others one of stride 8, of which a feature '
    'pyramid makes more.'
)
x = dict(_delete_=True, name=_base_.x.name, values=[_base_.x['values'][2]])

_deit = 'configs/digits/mask-rcnn_deit-d6w96_digits-det.py'
_psvit = 'configs/digits/mask-rcnn_psvit-d8w96-144_digits-det.py'
_shared = {
    'model.backbone.arch': dict(embed_dims=102, feedforward_channels=408),
    'model.backbone.pattern': 'FSFSFS',
    # The last two layers use one map: both see the whole scene.
    'model.backbone.global_attn_indexes': (-2, -1),
    'model.neck.in_channels': 102,
}
_pooled = {
    'model.backbone.arch.stages': [
        dict(depth=3, embed_dims=96, num_heads=3),
        dict(depth=5, embed_dims=144, num_heads=4),
    ],
    'model.backbone.out_indices': (2, 7),
    'model.backbone.global_attn_indexes': (-1,),
}
_start = 'model.backbone.init_cfg.checkpoint'
arms = [
    dict(
        name=name,
        config=config,
        options={_start: f'{{studies}}/psvit/{run}_12000_seed{{seed}}/final.pth', **options},
    )
    for name, run, config, options in (
        ('DeiT', 'deit', _deit, {}),
        ('shared', 'shared', _deit, _shared),
        ('pooled', 'pooled-2d', _psvit, _pooled),
        ('both', 'both-2d', _psvit, {}),
    )
]
control = 'DeiT'
sweep = dict(candidates=_base_.sweep.candidates[:3])  # the rates
