# As the 1x schedule of plain ViTs, without layer-wise rates, which Swin's detectors do not have.
_base_ = './coco_1x_adamw.py'

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.0))
