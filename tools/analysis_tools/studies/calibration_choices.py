r"""What a calibration depends on: layers, how much of its losses, and the learning rate.

Needs: as calibration.py, of images with a second digit that tells the class.
Costs: 33 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/calibration_choices.py \
        --seeds 1 2 3 --workers 2
"""

_base_ = './calibration.py'  # metrics, data and the budget of every run

title = 'Calibrating LIFE-ViT that a second digit misleads: layers, weights and rates'
question = (
    'Where must the relevance of tokens be asked, how much of the losses should there be (λ), and '
    'how fast should a calibrated classifier learn? If nothing else is said, tokens are asked of '
    'the first layer, dimensions of the last, λ is 1 and the learning rate that of the '
    f'classifier, 0.001; all arms go on from the same classifiers for {_base_.iterations} '
    'iterations.'
)
x = dict(_delete_=True, name=_base_.x.name, values=[_base_.x['values'][2]])
_blank, _token, _dimension = _base_.arms[:3]
_layers = 'model.calibration.token.layers'
_slow = {'optim_wrapper.optimizer.lr': 1e-4}


def _weight(kind, value):
    return {f'model.calibration.{kind}.loss_weight': value}


def _but(arm, what, options):
    """An arm that differs in one thing."""
    return dict(arm, name=f'{arm.name}, {what}', options={**arm.options, **options})


arms = [
    _blank,
    _token,
    _but(_token, 'later half', {_layers: (3, 4)}),
    _but(_token, 'weight 0.1', _weight('token', 0.1)),
    _but(_token, 'weight 10', _weight('token', 10.0)),
    _dimension,
    _but(_dimension, 'weight 0.1', _weight('dimension', 0.1)),
    _but(_dimension, 'weight 10', _weight('dimension', 10.0)),
    _but(_blank, 'rate 0.0001', _slow),
    dict(_but(_token, 'rate 0.0001', _slow), against='blank, rate 0.0001'),
    dict(_but(_dimension, 'rate 0.0001', _slow), against='blank, rate 0.0001'),
]
