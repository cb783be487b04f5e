"""LIFE-DeiT-S on ImageNet-1k, calibrated: ten epochs of token, then ten of dimension propagation.

Reproduces: nothing; the paper has no LIFE. Schedule and foreground are our design.
Needs: the weights of ../life/life-deit-small_8xb64_in1k.py.
Costs: those of the classifier; a step takes longer than a plain one (docs/benchmark.md). Training
    time was not measured.
Command (automatic mixed precision; relevance stays in float32):
    bash tools/dist_train.sh configs/vit_calibrator/calibrated-life-deit-small_8xb64_in1k.py 8 --amp
"""

_base_ = './calibrated-deit-small_8xb64_in1k.py'
# 1,281,167 images / (8 x 64) = 2,503 iterations an epoch; x 20 epochs = 50,060 iterations.

load_from = 'work_dirs/life-deit-small_8xb64_in1k/epoch_300.pth'
model = dict(backbone=dict(type='LIFEViT'))
