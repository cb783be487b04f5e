"""Which layers of a small PSViT share, and where its tokens are pooled, on single-digit scenes.

Needs: `python tools/dataset_converters/digit_scenes.py`.
Command: python tools/search.py tools/searches/digits.py --workers 2 --exhaustive
"""

title = 'The schedule of a small PSViT on digit scenes'
question = 'Is the schedule that a search finds better than one that chance draws?'
config = 'configs/digits/psvit-d8w96-144_digits-cls.py'
# 2⁵ ways to share, 4 places of the pool.
space = dict(units=5, widths=[78, 144], num_heads=[3, 4])
# The plain ViT has 49.6 million; 48 of the 128 schedules are as costly, some of every place.
budget = dict(macs=(48e6, 51e6))
supernet = dict(iterations=3000)
retraining = dict(top=5, random=5, iterations=1000)
baselines = [dict(name='DeiT', config='configs/digits/deit-d6w96_digits-cls.py')]
metric = dict(key='accuracy/top1', name='top-1', unit='%')
