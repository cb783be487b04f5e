"""What the labels of mixed images should be: none mixed, CutMix, TransMix, TL-Align, with LIFE.

Costs: 24 runs; 18 such runs of the classification study took 25 minutes on two CPU cores.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/tl_align_life.py --workers 2
"""

_base_ = './tl_align_deit.py'

title = 'Labels of mixed images with LIFE, by the number of training scenes'
x = dict(values=[dict(value=600), dict(value=6000)])
arms = [
    dict(name='no mixing', config='configs/digits/life-d6w96_digits-cls.py'),
    dict(name='CutMix', config='configs/digits/cutmix-life-d6w96_digits-cls.py'),
    dict(name='TransMix', config='configs/digits/transmix-life-d6w96_digits-cls.py'),
    dict(name='TL-Align', config='configs/digits/tl-align-life-d6w96_digits-cls.py'),
]
