"""LIFE-DeiT-T with 4 px patches on CIFAR-100, calibrated: twenty epochs of dimension propagation.

Reproduces: nothing; the paper has no LIFE.
Needs: the weights of ../life/life-deit-tiny-p4_1xb512_cifar100.py.
Costs: those of the classifier; training time was not measured.
Command (automatic mixed precision; relevance stays in float32): python tools/train.py \
configs/vit_calibrator/calibrated-life-deit-tiny-p4_1xb512_cifar100.py --amp
"""

_base_ = './calibrated-deit-tiny-p4_1xb512_cifar100.py'
# 50,000 images / 512 = 98 iterations an epoch; x 20 epochs = 1,960 iterations.

load_from = 'work_dirs/life-deit-tiny-p4_1xb512_cifar100/epoch_300.pth'
model = dict(backbone=dict(type='LIFEViT'))
