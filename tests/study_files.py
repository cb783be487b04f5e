"""A study of two arms, and the config they train: its files, written into the current folder."""

from pathlib import Path

CONFIG = """
train_cfg = dict(by_epoch=True, max_epochs=2)
randomness = dict(seed=0)
train_dataloader = dict(dataset=dict(type='Digits', indices=None))
model = dict(backbone=dict(type='TokenViT', depth=1))
"""
STUDY = """
title = 'Depth'
question = 'Does depth help?'
metrics = [dict(key='accuracy/top1', name='top-1', unit='%', scale=100)]
x = dict(name='training scenes', log=True, values=[dict(value=2), dict(value=4)])
subset = dict(key='train_dataloader.dataset.indices', total=10)
arms = [
    dict(name='Flat', config='model.py'),
    dict(name='Deep', config='model.py', options={'model.backbone.depth': 2}, keep_checkpoint=True),
]
control = 'Flat'
"""


def write_study() -> None:
    """Write the config and the study."""
    Path('model.py').write_text(CONFIG)
    Path('depth.py').write_text(STUDY)


def start_from_another_study() -> Path:
    """Let the deep arm start from another study's weights, which are written too."""
    options = "options={'model.backbone.init_cfg': dict(checkpoint='{studies}/a/b_{seed}.pth')}"
    Path('depth.py').write_text(STUDY.replace("options={'model.backbone.depth': 2}", options))
    weights = Path('work/a/b_0.pth')
    weights.parent.mkdir(parents=True)
    weights.touch()
    return weights
