r"""What the labels of mixed images should be: none mixed, CutMix, TransMix, TL-Align, with Swin.

Costs: 20 runs of 500 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/tl_align_swin.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './classification.py'  # metrics, schedule and the budget of every run

title = 'Labels of mixed images with Swin'
question = (
    'Does a label that follows its tokens through shifted windows and mergings train a small Swin '
    'better than one by area (CutMix) or by the last attention (TransMix), and what does mixing '
    f'itself do? All arms train {_base_.iterations} iterations of 32 images; the mixing ones draw '
    'boxes of whole tokens.'
)
x = dict(values=[dict(value=6000)])
_aligned = 'configs/digits/tl-align-swin-d6w48_digits-cls.py'
arms = [
    dict(name='no mixing', config='configs/digits/swin-d6w48_digits-cls.py'),
    dict(name='CutMix', config=_aligned, options={'model.target': 'cutmix'}),
    dict(name='TransMix', config=_aligned, options={'model.target': 'transmix'}),
    dict(name='TL-Align', config=_aligned),
]
control = 'CutMix'
# Its maps are averaged by the neck.
options = dict(_delete_=True)
