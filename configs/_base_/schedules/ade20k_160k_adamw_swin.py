# Swin's schedule of 160k iterations: learning rate 6e-5, weight decay 0.01, no layer-wise rates.
_base_ = './ade20k_160k_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=6e-5, weight_decay=0.01), paramwise_cfg=dict(layer_decay_rate=1.0)
)
