"""UPerNet over a DeiT-T trained with TL-Align, on ADE20K, 160k iterations.

Reproduces: nothing published to our knowledge; our design, that of DeiT's segmentors, so that the
    two differ in the weights they start from alone. The paper's segmentor is not public.
Needs: the DeiT-T of tl-align-deit-tiny_8xb128_in1k.py, trained by you; no weights are published.
Defaults: kept. The best start our transfer study (docs/study) found is a classifier of the class
    token, as here.
Costs: 37.3 M parameters, 236 G multiply-adds at 512 px. Training time was not measured.
Command:
bash tools/dist_train.sh configs/tl_align/tl-align-deit-tiny_upernet_8xb2-160k_ade20k-512x512.py 8\
    --amp
"""

_base_ = '../deit/deit-tiny_upernet_8xb2-160k_ade20k-512x512.py'
# 160,000 iterations x (8 x 2) images / 20,210 images = 126.7 epochs.

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='work_dirs/tl-align-deit-tiny_8xb128_in1k/epoch_300.pth')
    )
)
