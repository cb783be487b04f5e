"""UPerNet over a calibrated DeiT-S, on ADE20K, 160k iterations.

Reproduces: nothing; our design, the segmentor of ../deit, so that the two differ in the weights
    they start from alone.
Needs: the DeiT-S of calibrated-deit-small_8xb64_in1k.py, trained by you.
Defaults: kept, those of the classifier's own segmentor.
Costs: 54.6 M parameters, 259 G multiply-adds at 512 px. Training time was not measured.
Command: bash tools/dist_train.sh \
configs/vit_calibrator/calibrated-deit-small_upernet_8xb2-160k_ade20k-512x512.py 8 --amp
"""

_base_ = '../deit/deit-small_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='work_dirs/calibrated-deit-small_8xb64_in1k/epoch_20.pth')
    )
)
