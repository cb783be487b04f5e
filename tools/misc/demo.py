"""The main job from end to end, on real data that needs no download.

Draws digit scenes, trains a LIFE-ViT on single digits with a label for every patch, fine-tunes it
as the backbone of a Mask R-CNN and of a UPerNet, tests all three and paints what they say::

    python tools/misc/demo.py                # or: make demo

An interrupted demo goes on where it stopped when it is started again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.mode import hand_on
from mmtoken.errors import exit_on_user_error
from mmtoken.experiments.demo_stages import Metric, Stage, data_task, model_task, paint, report
from mmtoken.runtime.cli import add_check_argument
from mmtoken.tasks.launch import cpu_count, run_from_command_line
from mmtoken.tasks.progress import clock

import torch

TOOLS = Path(__file__).resolve().parents[1]
# A classifier uses the second core only as a second process: two threads gain it nothing. Half of
# the config's batch of 32 each.
PROCESSES = 1 if torch.cuda.is_available() else min(2, cpu_count())
_QUICK = {
    'train_cfg.max_iters': 4,
    'test_dataloader.dataset.indices': 8,
}
# One pass over a small model's weights, not one for each: 7 % of a segmentor's step.
_FUSED = {'optim_wrapper.optimizer.fused': True}
STAGES = (
    Stage(
        'classification',
        'configs/digits/token-label-life-d6w96_digits-cls.py',
        (Metric('top-1 accuracy', 'accuracy/top1', 88.0),),
        3.2,
        {
            'train_cfg.max_epochs': 1,
            'train_dataloader.dataset.indices': 256,
            'test_dataloader.dataset.indices': 64,
        },
        options={'train_dataloader.batch_size': 32 // PROCESSES},
        processes=PROCESSES,
        pretrained=False,
    ),
    Stage(
        'detection',
        'configs/digits/mask-rcnn_life-d6w96_digits-det.py',
        (
            Metric('box AP', 'coco/bbox_mAP', 75.0, 100.0),
            Metric('mask AP', 'coco/segm_mAP', 55.0, 100.0),
        ),
        10.6,
        _QUICK,
        _FUSED,
    ),
    Stage(
        'segmentation',
        'configs/digits/upernet_life-d6w96_digits-seg.py',
        (Metric('mean IoU', 'mIoU', 70.0),),
        10.8,
        _QUICK,
        _FUSED,
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
    add_check_argument(parser)
    args = parser.parse_args(argv)
    args.work_dir = args.work_dir or Path('work_dirs') / ('demo_quick' if args.quick else 'demo')
    return args


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    hand_on(args.check)
    tasks = [data_task(args.work_dir, TOOLS, STAGES[0].config)]
    tasks += [model_task(stage, args.work_dir, TOOLS, args.quick) for stage in STAGES]
    if not args.quick:
        print(
            'demo: digit scenes, LIFE-ViT, Mask R-CNN, UPerNet; '
            f'11 to 15 minutes on two cores (here: {cpu_count()}); '
            f'logs and results in {args.work_dir}'
        )
    results = run_from_command_line(tasks, args.workers)
    pictures = paint(STAGES, args.work_dir)
    short = report(STAGES, results, args.work_dir)
    seconds = sum(result['seconds'] for result in results.values())
    print(f'pictures: {", ".join(map(str, pictures))}')
    print(f'all stages took {clock(seconds)}, added up')
    if short and not args.quick:
        print(f'demo: not as good as expected: {"; ".join(short)}', file=sys.stderr)
        raise SystemExit(1)


if __name__ == '__main__':
    main()
