"""LV-ViT-M on ImageNet-1k, fine-tuned at 384 px with token labeling.

Reproduces: 85.4 % top-1 (released code), with its settings but for the number of epochs,
    which it leaves at 300; 30 are our choice.
Needs: the weights of lv-vit-medium_8xb128_in1k.py and its label maps.
Costs: 56.03 M parameters, 41.71 G multiply-adds an image. Training time was not measured.
Command (automatic mixed precision as in the released code):
    bash tools/dist_train.sh configs/lv_vit/lv-vit-medium_8xb64_in1k-384px.py 8 --amp
"""

_base_ = './lv-vit-small_8xb64_in1k-384px.py'
# 1,281,167 images / (8 x 64) = 2,503 iterations an epoch; x 30 epochs = 75,090 iterations.

load_from = 'work_dirs/lv-vit-medium_8xb128_in1k/epoch_310.pth'
model = dict(backbone=dict(arch='medium', drop_path_rate=0.2), head=dict(in_channels=512))
# Evaluated without a border.
_load, _resize, _center, _pack = _base_.test_pipeline
test_pipeline = [_load, dict(_resize, scale=384), _center, _pack]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]
