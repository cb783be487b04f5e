# CAT's schedule of 160k iterations: learning rate 6e-5, weight decay 0.05, no layer-wise rates.
_base_ = './ade20k_160k_adamw_swin.py'

optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
