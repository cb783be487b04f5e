r"""What the labels of mixed images should be: none mixed, CutMix, TransMix, TL-Align, with Swin.

Costs: 20 runs of 500 iterations and 20 of 2,000.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/tl_align_swin.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './classification.py'  # metrics and schedule

title = 'Labels of mixed images with Swin'
question = (
    'Does a label that follows its tokens through shifted windows and mergings train a small Swin '
    'better than one by area (CutMix) or by the last attention (TransMix), and what does mixing '
    'itself do? All arms train equally long on 6,000 images, 32 an iteration; the mixing ones draw '
    'boxes of whole tokens.'
)
iterations = 500
x = dict(
    _delete_=True,
    name='training',
    log=True,
    values=[
        dict(value=500, label='short', scenes=6000),
        dict(value=2000, label='long', scenes=6000, iterations=2000),
    ],
)
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
