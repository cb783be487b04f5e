"""The main job from end to end, on real data that needs no download.

Draws digit scenes, trains a LIFE-ViT on single digits, fine-tunes it as the backbone of a Mask
R-CNN and of a UPerNet, tests all three and paints what they say::

    python tools/misc/demo.py                # or: make demo

An interrupted demo goes on where it stopped when it is started again.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.demo_pictures import (
    classification_picture,
    detection_picture,
    segmentation_picture,
)
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.launch import cpu_count, run_from_command_line
from mmtoken.tasks.progress import clock
from mmtoken.tasks.task import Step, Task, text_digest, write_json
from mmtoken.tasks.tool_steps import (
    environment,
    export_weights,
    last_checkpoint,
    script,
    test_metrics,
    test_step,
    train_step,
)

from rich.console import Console
from rich.table import Table

TOOLS = Path(__file__).resolve().parents[1]
DATA = Path('data/digit_scenes')
META = DATA / 'meta.json'


@dataclass(frozen=True)
class Metric:
    """A number of the demo's table.

    Args:
        name: How people call it.
        key: How the library calls it.
        expected: The percentage below which the demo counts as failed.
        scale: What makes the library's number a percentage.
    """

    name: str
    key: str
    expected: float
    scale: float = 1.0


@dataclass(frozen=True)
class Stage:
    """One model of the demo.

    Args:
        name: Names its folder and picture.
        config: Its config.
        metrics: What is reported.
        minutes: What it takes on two cores; only the shown progress uses it.
        quick: Overrides of ``--quick``.
        out: Where the predictions go, in the stage's folder.
        pretrained: Whether it starts from the classification stage.
    """

    name: str
    config: str
    metrics: tuple[Metric, ...]
    minutes: float
    quick: dict[str, int]
    out: str = 'predictions.pkl'
    pretrained: bool = True


_QUICK = {
    'train_cfg.max_iters': 4,
    'train_cfg.val_interval': 8,
    'test_dataloader.dataset.indices': 8,
}
STAGES = (
    Stage(
        'classification',
        'configs/digits/life-d6w96_digits-cls.py',
        (Metric('top-1 accuracy', 'accuracy/top1', 88.0),),
        5.0,
        {
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 2,
            'train_dataloader.dataset.indices': 256,
            'test_dataloader.dataset.indices': 64,
        },
        pretrained=False,
    ),
    Stage(
        'detection',
        'configs/digits/mask-rcnn_life-d6w96_digits-det.py',
        (
            Metric('box AP', 'coco/bbox_mAP', 75.0, 100.0),
            Metric('mask AP', 'coco/segm_mAP', 55.0, 100.0),
        ),
        14.5,
        _QUICK,
    ),
    Stage(
        'segmentation',
        'configs/digits/upernet_life-d6w96_digits-seg.py',
        (Metric('mean IoU', 'mIoU', 70.0),),
        14.5,
        _QUICK,
        out='predictions',
    ),
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--work-dir', type=Path, help='folder; work_dirs/demo, or work_dirs/demo_quick, by default'
    )
    parser.add_argument(
        '--workers', type=int, default=2, help='models trained side by side (default: %(default)s)'
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='a few iterations of everything, to see that it runs; the numbers mean nothing',
    )
    args = parser.parse_args(argv)
    args.work_dir = args.work_dir or Path('work_dirs') / ('demo_quick' if args.quick else 'demo')
    return args


def data_task(work_dir: Path) -> Task:
    """Drawing the digit scenes where the digit configs look for them.

    Args:
        work_dir: The demo's folder.

    Returns:
        The task.
    """
    command = [*script(TOOLS / 'dataset_converters' / 'digit_scenes.py'), '--out', str(DATA)]
    return Task('data', work_dir / 'data', (Step('draw', lambda: command, 0.5),), outputs=[META])


def model_task(stage: Stage, work_dir: Path, quick: bool = False) -> Task:
    """Training and testing of one model.

    Args:
        stage: Which.
        work_dir: The demo's folder.
        quick: Whether a few iterations are enough.

    Returns:
        The task; its identity is the config with all overrides.
    """
    folder, weights = work_dir / stage.name, work_dir / 'classification' / 'final.pth'
    options: dict[str, Any] = dict(stage.quick) if quick else {}
    if stage.pretrained:
        options['model.backbone.init_cfg.checkpoint'] = str(weights)
    pairs = [f'{key}={value}' for key, value in options.items()]
    flags = ['--cfg-options', *pairs] if pairs else []
    cfg = load_config(stage.config, options)

    def finish() -> dict[str, Any]:
        if not stage.pretrained:
            export_weights(last_checkpoint(folder), weights)
        found = test_metrics(folder)
        return {'metrics': {m.name: round(found[m.key] * m.scale, 1) for m in stage.metrics}}

    return Task(
        name=stage.name,
        folder=folder,
        steps=(
            train_step(TOOLS, stage.config, folder, cfg, flags, weight=stage.minutes),
            test_step(TOOLS, stage.config, folder, flags, folder / stage.out, weight=0.3),
        ),
        identity={'config': stage.config, 'merged': text_digest(str(cfg.to_dict()))},
        inputs=[META, weights] if stage.pretrained else [META],
        outputs=[folder / stage.out] if stage.pretrained else [folder / stage.out, weights],
        needs=['classification'] if stage.pretrained else ['data'],
        finish=finish,
    )


def paint(work_dir: Path) -> list[Path]:
    """Paint the predictions of the three models.

    Args:
        work_dir: The demo's folder.

    Returns:
        The pictures.
    """
    pictures = [work_dir / f'{stage.name}.png' for stage in STAGES]
    predictions = [work_dir / stage.name / stage.out for stage in STAGES]
    classification_picture(predictions[0], pictures[0])
    annotations = DATA / 'detection' / 'annotations' / 'instances_val.json'
    detection_picture(predictions[1], annotations, pictures[1])
    scenes = DATA / 'segmentation'
    truth, images = scenes / 'annotations' / 'validation', scenes / 'images' / 'validation'
    segmentation_picture(predictions[2], truth, images, pictures[2])
    return pictures


def report(results: dict[str, dict[str, Any]], work_dir: Path) -> list[str]:
    """Print the table and write it as ``results.md`` and ``results.json``.

    Args:
        results: The stages' results by name.
        work_dir: The demo's folder.

    Returns:
        A phrase for each number that fell short of what is expected.
    """
    rows, short = [], []
    for stage in STAGES:
        for metric in stage.metrics:
            value = results[stage.name]['metrics'][metric.name]
            rows.append((stage.name, metric.name, f'{value:.1f} %', f'≥ {metric.expected:.0f} %'))
            if value < metric.expected:
                short.append(f'{metric.name} {value:.1f} % instead of {metric.expected:.0f} %')
    header = ('task', 'metric', 'result', 'expected')
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    lines = [header, ('---', '---', '---:', '---:'), *rows]
    text = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    (work_dir / 'results.md').write_text(f'{text}\n')
    stages = {name: {k: v for k, v in r.items() if k != 'question'} for name, r in results.items()}
    write_json(work_dir / 'results.json', {'stages': stages} | environment())
    return short


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    if args.workers < 1:
        raise UserError(f'--workers {args.workers} trains nothing; choose 1 or more')
    tasks = [data_task(args.work_dir)]
    tasks += [model_task(stage, args.work_dir, args.quick) for stage in STAGES]
    if not args.quick:
        print(
            'demo: digit scenes, LIFE-ViT, Mask R-CNN, UPerNet; about 20 minutes on '
            f'two cores (here: {cpu_count()}); logs and results in {args.work_dir}'
        )
    results = run_from_command_line(tasks, args.workers)
    pictures = paint(args.work_dir)
    short = report(results, args.work_dir)
    seconds = sum(result['seconds'] for result in results.values())
    print(f'pictures: {", ".join(map(str, pictures))}')
    print(f'all stages took {clock(seconds)}, added up')
    if short and not args.quick:
        print(f'demo: not as good as expected: {"; ".join(short)}', file=sys.stderr)
        raise SystemExit(1)


if __name__ == '__main__':
    main()
