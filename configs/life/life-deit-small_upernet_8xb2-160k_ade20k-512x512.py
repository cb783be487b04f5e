"""UPerNet over DeiT-S with LIFE on ADE20K, 160k iterations.

Reproduces: nothing published; our design (one map, a simple feature pyramid, layer-wise learning
    rates). The paper segments Cityscapes with a head that is not public.
Needs: the LIFE-DeiT-S of life-deit-small_8xb64_in1k.py, trained by you; no weights are published.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here.
Costs: 54.8 M parameters, 259 G multiply-adds at 512 px. Training time was not measured.
Command:
  bash tools/dist_train.sh configs/life/life-deit-small_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = '../deit/deit-small_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        type='mmpretrain.LIFEViT',
        init_cfg=dict(checkpoint='work_dirs/life-deit-small_8xb64_in1k/epoch_300.pth'),
    ),
)
