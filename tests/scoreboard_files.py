"""A scoreboard of three rows, the configs it trains, and stand-ins for the tools that run it."""

import json
from pathlib import Path

from study_files import READ

from mmtoken.experiments.study_draws import make_draws, write_draws

BACKBONE = (
    "type='TokenViT', patch_size=4, arch=dict(embed_dims=12, num_layers={layers}, num_heads=1, "
    'feedforward_channels=12)'
)
RUN = """
train_cfg = dict(by_epoch=True, max_epochs=2)
randomness = dict(seed=0)
train_dataloader = dict(batch_size=2, dataset=dict(type='Digits', indices=None))
test_dataloader = dict(dataset=dict(type='Digits', pipeline=[]))
"""
CLASSIFIER = (
    f"""
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict({BACKBONE.format(layers=2)}, img_size=16, out_type='avg_featmap'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=12),
)
"""
    + RUN
)
DENSE = (
    f"""
default_scope = 'mmdet'
model = dict(
    data_preprocessor=dict(size=32),
    backbone=dict(
        {BACKBONE.format(layers=1)}, img_size=32, out_type='featmap', window_size=4,
        init_cfg=dict(type='Pretrained', checkpoint='none.pth', prefix='backbone.'),
    ),
    neck=dict(type='mmpretrain.SimpleFeaturePyramid', in_channels=12, patch_size=4),
)
"""
    + RUN
)
BOARD = """
title = 'Scoreboard'
question = 'What does depth bring?'
seeds = [0]
control = 'Flat'
draws = 'draws.json'
_dense = dict(config='dense.py', iterations=3, scenes=2, data='digits.json')
stages = dict(
    classification=dict(
        iterations=4,
        data='glyphs.json',
        metrics=[dict(key='accuracy/top1', name='top-1', unit='%')],
    ),
    probe=dict(metrics=[dict(key='logreg/mIoU', name='probe', unit='%')]),
    detection=dict(_dense, metrics=[dict(key='coco/bbox_mAP', name='AP', unit='%', scale=100)]),
    segmentation=dict(_dense, metrics=[dict(key='mIoU', name='mIoU', unit='%')]),
)
rows = [
    dict(name='Flat', config='classifier.py'),
    dict(name='Deep', config='classifier.py', options={'model.backbone.arch.num_layers': 3}),
    dict(
        name='Deep, pooled',
        config='classifier.py',
        options={'model.backbone.arch.num_layers': 3, 'model.backbone.pool_before': (1,)},
        against='Deep',
    ),
]
"""
# They write what mmengine's runner and hooks leave in a work dir.
TRAIN = (
    READ.format(names=('config', '--work-dir', '--resume'))
    + """
start = cfg['model']['backbone'].get('init_cfg')
assert start is None or pathlib.Path(start['checkpoint']).exists()
folder = pathlib.Path(args.work_dir)
(folder / 'iter.pth').write_text(str(cfg['train_cfg']['max_iters']))
(folder / 'last_checkpoint').write_text(str(folder / 'iter.pth'))
with open('ran.txt', 'a') as file:
    print(folder.name, file=file)
"""
)
# Layers + seed / 10.
VALUE = "cfg['model']['backbone']['arch']['num_layers'] + cfg['randomness']['seed'] / 10"
TEST = (
    READ.format(names=('config', 'checkpoint', '--work-dir'))
    + f"""
folder = pathlib.Path(args.work_dir) / '20260101_000000'
folder.mkdir(parents=True)
metrics = dict.fromkeys(('accuracy/top1', 'coco/bbox_mAP', 'mIoU'), {VALUE})
(folder / '20260101_000000.json').write_text(json.dumps(metrics))
"""
)
PROBE = (
    READ.format(names=('config', 'checkpoint', '--out'))
    + f"""
assert pathlib.Path(args.checkpoint).exists()
found = dict.fromkeys(('knn', 'logreg'), dict(mIoU={VALUE}))
pathlib.Path(args.out).write_text(json.dumps(found))
with open('ran.txt', 'a') as file:
    print(pathlib.Path(args.config).parent.name, file=file)
"""
)
STAGES = ('classification', 'probe', 'detection', 'segmentation')


def write_board(text: str = BOARD) -> None:
    """Write the board, its configs, draws and data into the current folder.

    Args:
        text: The board.
    """
    files = {'board.py': text, 'classifier.py': CLASSIFIER, 'dense.py': DENSE}
    files |= {'glyphs.json': 'glyphs', 'digits.json': 'digits'}
    for name, content in files.items():
        Path(name).write_text(content)
    write_draws(make_draws(total=10, drawn_from=8), Path('draws.json'))


def change_board(old: str, new: str) -> None:
    """Change the board in the current folder.

    Args:
        old: What stands there.
        new: What is to stand there.
    """
    path = Path('board.py')
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def write_scoreboard_tools() -> None:
    """Write stand-ins for the three tools into the current folder."""
    Path('train.py').write_text(TRAIN)
    Path('test.py').write_text(TEST)
    Path('analysis_tools').mkdir()
    Path('analysis_tools/probe.py').write_text(PROBE)


def ran() -> list[str]:
    """Names of the runs since the last call, in order."""
    path = Path('ran.txt')
    names = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return names


def chain(row: str, seed: int = 0, stages: tuple[str, ...] = STAGES) -> list[str]:
    """Names of the runs of a row and a seed."""
    return [f'{row}_{stage}_seed{seed}' for stage in stages]


def results() -> dict:
    """The content of the board's JSON."""
    return json.loads(Path('out/board.json').read_text())
