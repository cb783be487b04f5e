"""A study of two arms, the config they train, and stand-ins for the tools that run it."""

from pathlib import Path

from mmtoken.experiments.study_draws import make_draws, write_draws

CONFIG = """
train_cfg = dict(by_epoch=True, max_epochs=2)
randomness = dict(seed=0)
train_dataloader = dict(dataset=dict(type='Digits', split='train', indices=None))
test_dataloader = dict(dataset=dict(type='Digits', split='val'))
model = dict(backbone=dict(type='TokenViT', depth=1))
optim_wrapper = dict(optimizer=dict(lr=0))
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
# The stand-in's held-out accuracy is best where the rate is the depth.
SWEEP = (
    STUDY.replace('total=10', "draws='draws.json'")
    + """
sweep = dict(
    candidates=[
        dict(name='rate 1', options={'optim_wrapper.optimizer.lr': 1}),
        dict(name='rate 2', options={'optim_wrapper.optimizer.lr': 2}),
    ],
    seeds=[100],
    x=[4],
    metric='accuracy/top1',
    options={'test_dataloader.dataset.split': 'train', 'test_dataloader.dataset.indices': [8, 9]},
)
"""
)
READ = """
import argparse, json, pathlib, runpy
parser = argparse.ArgumentParser()
for name in {names}:
    parser.add_argument(name)
args, _ = parser.parse_known_args()
cfg = runpy.run_path(args.config)
"""
# They write what mmengine's runner and hooks leave in a work dir.
TRAIN = (
    READ.format(names=('config', '--work-dir', '--resume'))
    + """
folder = pathlib.Path(args.work_dir)
iterations = len(cfg['train_dataloader']['dataset']['indices']) * cfg['train_cfg']['max_epochs']
(folder / 'epoch_2.pth').write_text(str(iterations))
(folder / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))
with open('trained.txt', 'a') as file:
    print(folder.name, file=file)
"""
)
# Accuracy = depth / 10 + seed / 100; on held-out data 1 - |rate - depth| / 10.
TEST = (
    READ.format(names=('config', 'checkpoint', '--work-dir'))
    + """
assert pathlib.Path(args.checkpoint).exists()
folder = pathlib.Path(args.work_dir) / '20260101_000000'
folder.mkdir(parents=True)
depth, rate = cfg['model']['backbone']['depth'], cfg['optim_wrapper']['optimizer']['lr']
value = depth / 10 + cfg['randomness']['seed'] / 100
if cfg['test_dataloader']['dataset']['split'] == 'train':
    value = 1 - abs(rate - depth) / 10
metrics = {'accuracy/top1': value, 'accuracy/top5': 1.0}
(folder / '20260101_000000.json').write_text(json.dumps(metrics))
"""
)


def write_study(text: str = STUDY) -> None:
    """Write the config, the study and a file of draws into the current folder.

    Args:
        text: The study.
    """
    Path('model.py').write_text(CONFIG)
    Path('depth.py').write_text(text)
    write_draws(make_draws(total=10, drawn_from=8), Path('draws.json'))


def write_tools() -> None:
    """Write stand-ins for ``tools/train.py`` and ``tools/test.py`` into the current folder."""
    Path('train.py').write_text(TRAIN)
    Path('test.py').write_text(TEST)


def start_from_another_study() -> Path:
    """Let the deep arm start from another study's weights, which are written too."""
    options = "options={'model.backbone.init_cfg': dict(checkpoint='{studies}/a/b_{seed}.pth')}"
    Path('depth.py').write_text(STUDY.replace("options={'model.backbone.depth': 2}", options))
    weights = Path('work/a/b_0.pth')
    weights.parent.mkdir(parents=True)
    weights.touch()
    return weights


def trained() -> list[str]:
    """Names of the runs that were trained, in order."""
    return Path('trained.txt').read_text().split() if Path('trained.txt').exists() else []
