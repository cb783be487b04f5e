# A trained classifier goes on for as long as it took: a tenth of its learning rate, a cosine to
# zero; half of the epochs for each stage.
_base_ = './digits_cls_adamw.py'

optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.0,
        by_epoch=True,
        begin=0,
        end=6,
        convert_to_iter_based=True,
    )
]
stages = [dict(losses=['token']), dict(begin=3, losses=['dimension'])]
custom_hooks = [dict(type='CalibrationHook', stages=stages)]
