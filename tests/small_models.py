"""Models, runs and pictures of the configs for public data, as small as a test can afford."""

from pathlib import Path

from mmengine.config import Config, ConfigDict

TINY = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
WIDTHS = (12, 18, TINY['embed_dims'])
# What a pyramid's arch has of each stage beside `depths`.
PYRAMIDS = dict(Swin='num_heads', SwinV2='num_heads', CAT='num_heads', DWNet='group_channels')


def shrink_model(config: Config) -> None:
    """Make a model that a test can afford, of the same modules."""
    model = config.model
    # What LoRA learns beside is a backbone as well.
    backbone = model.backbone.get('module', model.backbone)
    kind = backbone.type.rpartition('.')[2]
    staged, pyramid = kind == 'PSViT', kind in PYRAMIDS
    if staged:
        shrink_stages(backbone)
    elif not pyramid:
        backbone.arch = TINY
        if 'frozen_stages' in backbone:
            backbone.frozen_stages = TINY['num_layers']
    widths = shrink_pyramid(backbone, PYRAMIDS[kind]) if pyramid else None
    backbone.init_cfg = None
    if config.default_scope == 'mmpretrain':
        model.head.in_channels = widths[-1] if pyramid else TINY['embed_dims']
    else:
        channels = TINY['embed_dims']
        if pyramid:
            channels = widths
        elif 'out_indices' in backbone:
            # A level of the neck for each of several layers.
            channels = [channels] * len(backbone.out_indices)
            backbone.out_indices = [index % 2 for index in range(len(channels))]
        if staged:
            channels, backbone.out_indices = list(WIDTHS), [1, 3, 5]
        if model.neck is not None:
            model.neck.update(in_channels=channels, out_channels=32)
        shrink = shrink_detector if config.default_scope == 'mmdet' else shrink_segmentor
        shrink(model)
        if 'global_attn_indexes' in backbone:
            backbone.global_attn_indexes = (4, 5) if staged else (1,)
        if model.neck is None:
            model.decode_head.in_channels = channels
            if model.get('auxiliary_head'):
                model.auxiliary_head.in_channels = channels[model.auxiliary_head.in_index]


def shrink_pyramid(backbone: ConfigDict, per_stage: str) -> list[int]:
    """Make a pyramid one of few channels, and as many stages as it has; their channels."""
    arch = backbone.get('arch')
    stages = len(arch.depths) if isinstance(arch, dict) else 4
    backbone.arch = dict(embed_dims=12, depths=(1,) * stages, **{per_stage: (3,) * stages})
    return [12 * 2**stage for stage in range(stages)]


def shrink_stages(backbone: ConfigDict) -> None:
    """Make a PSViT of one preset one of few channels, its pools those of the preset."""
    backbone.pooling = backbone.pop('arch')[:2]
    backbone.stages = [
        dict(depth=2, embed_dims=width, num_heads=2, pattern='FS') for width in WIDTHS
    ]


def shrink_detector(model: ConfigDict) -> None:
    model.data_preprocessor.pad_size_divisor = min(32, model.data_preprocessor.pad_size_divisor)
    model.rpn_head.update(in_channels=32, feat_channels=32)
    model.roi_head.bbox_roi_extractor.out_channels = 32
    # A cascade has several.
    boxes, rcnn = model.roi_head.bbox_head, model.train_cfg.rcnn
    for head in boxes if isinstance(boxes, list) else [boxes]:
        head.update(in_channels=32, fc_out_channels=32)
        if 'conv_out_channels' in head:
            head.conv_out_channels = 32
    for cfg in rcnn if isinstance(rcnn, list) else [rcnn]:
        cfg.sampler.num = 32
    if model.roi_head.mask_head:
        model.roi_head.mask_roi_extractor.out_channels = 32
        model.roi_head.mask_head.update(in_channels=32, conv_out_channels=32)
    model.train_cfg.rpn_proposal.max_per_img = model.test_cfg.rpn.max_per_img = 20
    # Untrained scores are low, and without any detection there is no metric.
    model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=5)


def shrink_segmentor(model: ConfigDict) -> None:
    model.data_preprocessor.size = (64, 64)
    if model.decode_head.get('num_convs') == 0:
        model.decode_head.channels = TINY['embed_dims']
    else:
        model.decode_head.update(in_channels=[32] * 4, channels=32)
    if model.get('auxiliary_head'):
        model.auxiliary_head.update(in_channels=32, channels=32)
    model.test_cfg = dict(mode='slide', crop_size=(64, 64), stride=(48, 48))


def shrink_run(config: Config, folder: Path) -> None:
    """Make a model tiny and its run one step long, on the data in `folder`, with what it leaves
    beside them.
    """
    config.work_dir = str(folder / 'work')
    shrink_model(config)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False, pin_memory=False)
        loader.batch_size = min(loader.batch_size, 2)
        loader.dataset.data_root = str(folder / 'data')
        shrink_pipeline(loader.dataset.pipeline)
    for evaluator in (config.val_evaluator, config.test_evaluator):
        if 'ann_file' in evaluator:
            evaluator.ann_file = str(folder / 'data/annotations/instances_val2017.json')
    key = 'max_epochs' if 'max_epochs' in config.train_cfg else 'max_iters'
    config.train_cfg.update({key: 1, 'val_interval': 1})


def shrink_pipeline(pipeline: list) -> None:
    """Make the images of detection and segmentation about as small as the files."""
    for step in pipeline:
        if step.type in ('Resize', 'RandomResize') and 'scale' in step:
            step.scale = (96, 64)
        if step.type == 'RandomCrop' and ('cat_max_ratio' in step or 'crop_type' in step):
            step.crop_size = (64, 64)
