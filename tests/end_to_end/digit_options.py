"""How the digit configs run on tiny data."""

from itertools import count
from pathlib import Path

RUNS = count()


def options(task: str, root: Path) -> list[str]:
    """Overrides that make a digit config read the tiny data and run in this process alone."""
    data = root / task
    settings = ['num_workers=0', 'persistent_workers=False', 'batch_size=4']
    settings.append(f'dataset.data_root={data}')
    found = [
        f'{loader}_dataloader.{setting}'
        for loader in ('train', 'val', 'test')
        for setting in settings
    ]
    if task == 'detection':
        annotations = data / 'annotations' / 'instances_val.json'
        found += [f'{name}_evaluator.ann_file={annotations}' for name in ('val', 'test')]
    if task != 'classification':
        found.append('model.backbone.init_cfg=None')
    # Runs of one process would share mmengine's global objects of the same name.
    name = f'run{next(RUNS)}'
    return ['--cfg-options', *found, f'experiment_name={name}', f'visualizer.name={name}']
