"""DeiT-S with 4 px patches on CIFAR-100, calibrated: twenty epochs of dimension propagation.

Reproduces: nothing; the paper has CIFAR-100, but its recipe is not known to us.
Needs: the weights of ../deit/deit-small-p4_1xb512_cifar100.py.
Costs: those of the classifier; training time was not measured.
Command (automatic mixed precision; relevance stays in float32):
    python tools/train.py configs/vit_calibrator/calibrated-deit-small-p4_1xb512_cifar100.py --amp
"""

_base_ = './calibrated-deit-tiny-p4_1xb512_cifar100.py'
# 50,000 images / 512 = 98 iterations an epoch; x 20 epochs = 1,960 iterations.

load_from = 'work_dirs/deit-small-p4_1xb512_cifar100/epoch_300.pth'
model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
