"""Test a classifier (mmpretrain), detector (mmdet) or segmentor (mmsegmentation).

The config's ``default_scope`` decides which library is used::

    python tools/test.py CONFIG CHECKPOINT
    python tools/test.py CONFIG CHECKPOINT --show-dir painted --out predictions.pkl
    bash tools/dist_test.sh CONFIG CHECKPOINT 8      # eight GPUs of one machine
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.files import check_files
from mmtoken.config_check.outputs import check_folder
from mmtoken.config_check.signature import accepted_keywords
from mmtoken.config_check.trial import check_loaders
from mmtoken.config_check.types import find_targets
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import (
    add_config_arguments,
    add_launch_arguments,
    add_trust_argument,
    load_checked_config,
    resolve_work_dir,
    trust_named,
)
from mmtoken.runtime.distributed import leave_launch, prepare_launch
from mmtoken.runtime.failures import explain_failures
from mmtoken.runtime.quiet import build_runner

import mmengine
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.registry import METRICS

# What paints predictions in each library, for configs that do not say it themselves.
PAINTERS = {
    'mmpretrain': ('mmpretrain.VisualizationHook', 'mmpretrain.UniversalVisualizer'),
    'mmdet': ('mmdet.DetVisualizationHook', 'mmdet.DetLocalVisualizer'),
    'mmseg': ('mmseg.SegVisualizationHook', 'mmseg.SegLocalVisualizer'),
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line: the union of the three libraries' flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file or address')
    add_trust_argument(parser)
    add_launch_arguments(parser)
    parser.add_argument('--work-dir', help='folder for logs and the metrics as JSON')
    parser.add_argument(
        '--out',
        help='write the predictions to this .pkl file; for mmseg, a folder of label maps (PNG) '
        'where the name has no such ending',
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        default='pred',
        help='what --out writes; metrics go to a .json, .yaml or .pkl file',
    )
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for pictures of the predictions')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per window (--show)')
    parser.add_argument(
        '--interval',
        type=int,
        default=1,
        help='paint each n-th image (mmpretrain) or batch (mmseg); mmdet paints all',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="augment at test time, with the config's tta_model and tta_pipeline",
    )
    parser.add_argument('--amp', action='store_true', help='test in mixed precision')
    return parser.parse_args(argv)


def apply_flags(cfg: Config, args: argparse.Namespace) -> None:
    """Write the flags into the config.

    Args:
        cfg: The config, changed in place.
        args: The command line.

    Raises:
        UserError: If a flag needs what the config or the machine does not have.
    """
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    cfg.resume = False
    resolve_work_dir(cfg, args.work_dir)
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.no_pin_memory:
        cfg.test_dataloader.pin_memory = False
    if args.tta:
        apply_tta(cfg)
    if args.show or args.show_dir:
        apply_painting(cfg, args)
    if args.out:
        apply_out(cfg, args.out, args.out_item)


def apply_tta(cfg: Config) -> None:
    """Wrap the model and replace the test pipeline, as the config's TTA settings say.

    Args:
        cfg: The config, changed in place.

    Raises:
        UserError: If the config has no ``tta_model`` or no ``tta_pipeline``, or if the model makes
            masks, which mmdet cannot merge.
    """
    missing = [name for name in ('tta_model', 'tta_pipeline') if not cfg.get(name)]
    if missing:
        raise UserError(
            f'--tta needs {" and ".join(missing)}, which {cfg.filename} does not have; '
            'add it to the config or leave out --tta'
        )
    roi_head = cfg.model.get('roi_head') or {}
    mask_head = cfg.model.get('mask_head') or roi_head.get('mask_head')
    if mask_head and cfg.tta_model.type.endswith('DetTTAModel'):
        raise UserError(
            '--tta: DetTTAModel merges boxes but no masks, '
            f'and the model of {cfg.filename} has a mask head; '
            'leave out --tta, or take the head out with model.roi_head.mask_head=None'
        )
    # The runner would give a top-level data_preprocessor to the wrapper, which does not use it,
    # and the wrapped model would see images that nothing normalized.
    if cfg.get('data_preprocessor'):
        cfg.model.setdefault('data_preprocessor', cfg.pop('data_preprocessor'))
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline


def apply_painting(cfg: Config, args: argparse.Namespace) -> None:
    """Turn the library's visualization hook on, adding it where the config has none.

    Args:
        cfg: The config, changed in place.
        args: The command line.

    Raises:
        UserError: If a window is asked for where there is no display.
    """
    on_linux = sys.platform.startswith('linux')
    if args.show and on_linux and not (os.getenv('DISPLAY') or os.getenv('WAYLAND_DISPLAY')):
        raise UserError('--show needs a display, and there is none; use --show-dir FOLDER')
    scope = cfg.get('default_scope')
    if scope not in PAINTERS:
        raise UserError(
            f'--show and --show-dir know the default_scope {", ".join(PAINTERS)}, '
            f'and {cfg.filename} has {scope!r}'
        )
    hook_type, visualizer_type = PAINTERS[scope]
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    hook = hooks.visualization = hooks.get('visualization') or ConfigDict(type=hook_type)
    if not cfg.get('visualizer'):
        cfg.visualizer = dict(type=visualizer_type, vis_backends=[dict(type='LocalVisBackend')])
    folder = os.path.abspath(args.show_dir) if args.show_dir else None
    hook.update(show=args.show, wait_time=args.wait_time)
    if scope == 'mmpretrain':
        hook.update(enable=True, interval=args.interval, out_dir=folder)
    elif scope == 'mmdet':
        hook.update(draw=True, test_out_dir=folder)
    else:
        hook.update(draw=True, interval=args.interval)
        if folder:
            cfg.visualizer.save_dir = folder


def apply_out(cfg: Config, out: str, item: str) -> None:
    """Check where results go; let mmseg's metric write label maps where that is a folder.

    Args:
        cfg: The config, changed in place.
        out: The value of ``--out``.
        item: ``'metrics'`` or ``'pred'``.

    Raises:
        UserError: If the file's ending is none that can be written.
    """
    endings = ('.json', '.yaml', '.yml', '.pkl') if item == 'metrics' else ('.pkl', '.pickle')
    if out.endswith(endings):
        return
    if cfg.get('default_scope') == 'mmseg' and item == 'pred' and not Path(out).suffix:
        metrics = cfg.test_evaluator
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            targets = find_targets(metric.type, 'mmseg')
            if any('output_dir' in accepted_keywords(target).names for target in targets):
                metric.output_dir = out
                return
    raise UserError(f'--out {out!r} must end in one of {", ".join(endings)}')


def run_test(
    cfg: Config, out: str | None, item: str, print_config: bool = False
) -> dict[str, float]:
    """Test with mmengine's runner, or the config's own.

    Args:
        cfg: The config.
        out: The value of ``--out``.
        item: ``'metrics'`` or ``'pred'``.
        print_config: Whether the config is printed.

    Returns:
        The metrics.
    """
    runner = build_runner(cfg, print_config)
    if out and item == 'pred' and Path(out).suffix:
        scope = cfg.get('default_scope')
        dump = 'mmdet.DumpDetResults' if scope == 'mmdet' else 'DumpResults'
        metric = METRICS.build(dict(type=dump, out_file_path=out))
        runner.test_evaluator.metrics.append(metric)
    metrics = runner.test()
    if out and item == 'metrics' and is_main_process():
        mmengine.dump(metrics, out)
    return metrics


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Test from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.

    Returns:
        The metrics.
    """
    args = parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_checked_config(
        args, needs=('model', 'test_dataloader', 'test_cfg', 'test_evaluator')
    )
    apply_flags(cfg, args)
    trust_named(args, args.checkpoint)
    check_files(cfg, loaders=('test_dataloader',), mode=args.check)
    check_loaders(cfg, loaders=('test_dataloader',), mode=args.check)
    check_folder('work_dir', cfg.work_dir)
    if args.show_dir:
        check_folder('--show-dir', args.show_dir)
    if args.out:
        check_folder('--out', str(Path(args.out).parent) if Path(args.out).suffix else args.out)
    with explain_failures(cfg):
        prepare_launch(cfg)
        metrics = run_test(cfg, args.out, args.out_item, args.print_config)
        leave_launch()
    return metrics


if __name__ == '__main__':
    main()
