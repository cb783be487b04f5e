# The small ViT, whose decisions are calibrated.
_base_ = './d6w96_cls.py'

model = dict(
    type='CalibratedClassifier',
    calibration=dict(
        token=dict(type='TokenPropagation'),
        dimension=dict(type='DimensionPropagation'),
    ),
    foreground=dict(type='SuppliedForeground'),
)
