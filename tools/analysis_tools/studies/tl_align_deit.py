"""What the labels of mixed images should be: none mixed, CutMix, TransMix, TL-Align, with DeiT.

Costs: 12 runs; 18 such runs of the classification study took 25 minutes on two CPU cores.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/tl_align_deit.py --workers 2
"""

_base_ = './classification.py'  # metrics, schedule and the budget of every run

title = 'Labels of mixed images with DeiT'
question = (
    'Does a label that follows its tokens train a small ViT better than one by area (CutMix) or by '
    'the last attention (TransMix), and what does mixing itself do? All arms train '
    f'{_base_.iterations} iterations of 32 images; the mixing ones draw boxes of whole patches.'
)
x = dict(values=[dict(value=6000)])
arms = [
    dict(name='no mixing', config='configs/digits/deit-d6w96_digits-cls.py'),
    dict(name='CutMix', config='configs/digits/cutmix-deit-d6w96_digits-cls.py'),
    dict(name='TransMix', config='configs/digits/transmix-deit-d6w96_digits-cls.py'),
    dict(name='TL-Align', config='configs/digits/tl-align-deit-d6w96_digits-cls.py'),
]
control = 'CutMix'
