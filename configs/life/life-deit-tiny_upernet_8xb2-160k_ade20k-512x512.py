"""UPerNet over DeiT-T with LIFE on ADE20K, 160k iterations.

Reproduces: nothing published; our design (one map, a simple feature pyramid, layer-wise learning
    rates). The paper segments Cityscapes with a head that is not public.
Needs: the LIFE-DeiT-T of life-deit-tiny_8xb64_in1k.py, trained by you; no weights are published.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here.
Costs: 37.3 M parameters, 236 G multiply-adds at 512 px. Training time was not measured.
Command:
  bash tools/dist_train.sh configs/life/life-deit-tiny_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = '../deit/deit-tiny_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.LIFEViT',
        init_cfg=dict(checkpoint='work_dirs/life-deit-tiny_8xb64_in1k/epoch_300.pth'),
    ),
)
