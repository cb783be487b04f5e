r"""How much of a calibration's losses there should be: λ of 0.1, 1 and 10.

Needs: as calibration.py, of the images whose ground tells the class.
Costs: 50 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/calibration_weights.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './calibration.py'  # metrics, data and the budget of every run

title = 'Calibrating LIFE-ViT that a ground misleads: how much of the losses'
question = (
    'Is a calibration that brings nothing one of too little weight, or of too much? Losses are '
    'multiplied by 0.1, 1 or 10; all arms go on from the same classifiers for '
    f'{_base_.iterations} iterations at a tenth of their learning rate.'
)
x = dict(_delete_=True, name=_base_.x.name, values=[_base_.x['values'][1]])
_blank, _token, _dimension, _both = _base_.arms[:4]
arms = [
    _blank,
    *(
        dict(
            arm,
            name=f'{arm.name}, weight {weight:g}',
            options={
                **arm.options,
                'model.calibration.token.loss_weight': weight,
                'model.calibration.dimension.loss_weight': weight,
            },
        )
        for arm in (_token, _dimension, _both)
        for weight in (0.1, 1.0, 10.0)
    ),
]
