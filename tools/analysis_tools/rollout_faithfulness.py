"""Hold roll-outs against the truth: how much of a class map falls on that class.

For every class that is in a validation image and that the model predicts there: the share of the
map's mass in the class's true mask, for the dense roll-out, the ordinary one and chance::

    python tools/analysis_tools/rollout_faithfulness.py CONFIG CHECKPOINT --name 'Mask R-CNN'

writes <name>.json to the folder, and table and plot of all such files there.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtoken.config_check.check import check_config
from mmtoken.config_check.files import check_files
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.study_report import estimate
from mmtoken.rollout import (
    Capture,
    TokenSet,
    capture,
    class_names,
    find_token_sets,
    roll_maps,
    token_areas,
    token_overlaps,
)
from mmtoken.runtime.cli import add_config_arguments, load_config
from mmtoken.runtime.load_model import load_model
from mmtoken.tasks.task import write_json
from mmtoken.tasks.tool_steps import environment

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.structures import BaseDataElement
from rich.progress import track
from torch import Tensor

OUT = Path('docs', 'study', 'rollout_faithfulness')
METHODS = {
    'dense': 'dense roll-out',
    'ordinary': 'ordinary roll-out',
    'chance': 'chance',
    'prediction': 'the predicted tokens themselves',
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--name', required=True, help='of the model, in table and plot')
    parser.add_argument(
        '--number', type=int, default=200, help='validation images (default: %(default)s)'
    )
    parser.add_argument(
        '--out', type=Path, default=OUT, help='folder of the results (default: %(default)s)'
    )
    return parser.parse_args(argv)


def true_masks(sample: BaseDataElement, names: Sequence[str]) -> dict[int, Tensor]:
    """The true mask of every class in an image, (y, x) of the original image; no background.

    Args:
        sample: The annotations of a segmentation or detection data set.
        names: Of all classes.

    Raises:
        UserError: If the sample has no masks.
    """
    if 'gt_sem_seg' in sample:
        classes = sample.gt_sem_seg.data[0]
        found = {label: classes == label for label in classes.unique().tolist()}
        return {
            label: mask
            for label, mask in found.items()
            if label < len(names) and names[label] != 'background'
        }
    instances = sample.get('gt_instances', ())
    if 'masks' not in instances:
        raise UserError(
            'the data set has no masks to hold the maps against; use one of detection with masks, '
            'or of segmentation'
        )
    masks = torch.as_tensor(instances.masks.to_ndarray()).bool()
    return {
        label: masks[instances.labels == label].any(0)
        for label in instances.labels.unique().tolist()
    }


def covered_shares(taken: Capture, mask: Tensor, entered: bool) -> Tensor:
    """The share of every token that a mask covers, (H, W); of those that left or that entered."""
    rows, columns = token_overlaps(taken, tuple(mask.shape), entered)
    return rows @ mask.to(rows) @ columns.T / token_areas(taken, entered)


def mass_inside(rolled: Tensor, covered: Tensor) -> float:
    """The share of a map's mass that falls on what is covered; within a token, evenly spread."""
    return float((rolled * covered).sum() / rolled.sum())


def measure(taken: Capture, masks: dict[int, Tensor]) -> list[dict[str, float]]:
    """What falls into the true masks, of every class that is both there and predicted.

    The ordinary roll-out is that of the class token, or the mean over all patches without one: the
    same map for every class.
    """
    predicted = find_token_sets(taken).classes
    both = [predicted[label] for label in masks if label in predicted]
    if not both:
        return []
    tokens = taken.left
    everything = tokens.x.new_zeros(tokens.x.shape[1])
    everything[0 if tokens.num_aux else slice(None)] = 1
    ordinary = TokenSet(-1, everything / everything.sum())
    *maps, plain = roll_maps(taken, [*both, ordinary])
    rows = []
    for found, rolled in zip(both, maps, strict=True):
        mask = masks[found.label].to(rolled.device)
        covered = covered_shares(taken, mask, entered=True)
        own = found.weights[tokens.num_aux :].unflatten(0, tokens.grid)
        rows.append(
            dict(
                label=found.label,
                dense=mass_inside(rolled, covered),
                ordinary=mass_inside(plain, covered),
                chance=float(mask.float().mean()),
                prediction=mass_inside(own, covered_shares(taken, mask, entered=False)),
            )
        )
    return rows


def summarize(name: str, images: Sequence[Sequence[dict[str, float]]]) -> dict[str, Any]:
    """Means over images with 95 % intervals; the classes of an image are not independent.

    Args:
        name: Of the model.
        images: What `measure` found in each.

    Raises:
        UserError: If fewer than two images have a class that was predicted.
    """
    used = [rows for rows in images if rows]
    if len(used) < 2:
        raise UserError(
            f'{name} predicts a class that is there in {len(used)} of {len(images)} images; a mean '
            'needs 2: give more images, or a trained checkpoint'
        )
    means = {
        method: estimate([float(np.mean([row[method] for row in rows])) for rows in used])
        for method in METHODS
    }
    return dict(
        name=name,
        images=len(images),
        used=len(used),
        pairs=sum(map(len, used)),
        shares={
            method: dict(mean=found.mean, margin=found.margin) for method, found in means.items()
        },
    )


def markdown(reports: Sequence[dict[str, Any]]) -> str:
    """The table of all models."""
    lines = [
        '# Do the maps fall on what they are of?',
        '',
        'The share of a class map that falls in the true mask of that class, mean over images with '
        'the margin of its 95 % interval. A map of the ordinary roll-out is the same for every '
        "class; chance is the mask's share of the image. The last column is the prediction itself, "
        'before any roll-out.',
        '',
        '| model | image-class pairs (images) | ' + ' | '.join(METHODS.values()) + ' |',
        '|---|---:|' + '---:|' * len(METHODS),
    ]
    for report in reports:
        cells = [
            f'{100 * found["mean"]:.1f} ± {100 * found["margin"]:.1f} %'
            for found in (report['shares'][method] for method in METHODS)
        ]
        pairs = f'{report["pairs"]} ({report["used"]} of {report["images"]})'
        lines.append(f'| {report["name"]} | {pairs} | ' + ' | '.join(cells) + ' |')
    lines += ['', '![The same as bars](faithfulness.png)', '', 'Written by:', '', '```']
    lines += [shlex.join(report['command']) for report in reports]
    return '\n'.join([*lines, '```', ''])


def plot(reports: Sequence[dict[str, Any]], path: Path) -> None:
    """One group of bars a model, with the intervals."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(2 + 2.4 * len(reports), 3.6), layout='constrained')
    width = 0.8 / len(METHODS)
    for index, (method, label) in enumerate(METHODS.items()):
        shares = [report['shares'][method] for report in reports]
        means, margins = ([100 * share[key] for share in shares] for key in ('mean', 'margin'))
        places = np.arange(len(reports)) + (index - (len(METHODS) - 1) / 2) * width
        axes.bar(places, means, width, yerr=margins, capsize=3, label=label)
    axes.set_xticks(range(len(reports)), [report['name'] for report in reports])
    axes.set_ylabel('share of the map in the true mask (%)')
    axes.grid(axis='y', alpha=0.3)
    figure.legend(loc='outside lower center', ncols=2, frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def measure_dataset(cfg: Config, checkpoint: str, number: int) -> list[list[dict[str, float]]]:
    """`measure` on the first images of a config's validation data."""
    model = load_model(cfg, checkpoint)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    found = []
    for index in track(range(min(number, len(dataset))), description='rolling out'):
        packed = dataset[index]
        data = {name: [packed[name]] for name in ('inputs', 'data_samples')}
        masks = true_masks(packed['data_samples'], class_names(model))
        found.append(measure(capture(model, data), masks))
    return found


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Measure from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    if args.number < 2:
        raise UserError(f'--number {args.number} is no mean with an interval; give 2 or more')
    cfg = load_config(args.config, args.cfg_options)
    check_config(cfg, needs=('model', 'val_dataloader', 'test_dataloader', 'default_scope'))
    check_files(cfg, ['val_dataloader'])
    report = summarize(args.name, measure_dataset(cfg, args.checkpoint, args.number))
    words = list(argv) if argv is not None else sys.argv[1:]
    report |= dict(
        command=['python', 'tools/analysis_tools/rollout_faithfulness.py', *words],
        environment=environment(),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r'[^a-z0-9]+', '-', args.name.lower()).strip('-')
    write_json(args.out / f'{slug}.json', report)
    reports = [json.loads(path.read_text()) for path in sorted(args.out.glob('*.json'))]
    (args.out / 'README.md').write_text(markdown(reports))
    plot(reports, args.out / 'faithfulness.png')
    print(args.out / 'README.md')


if __name__ == '__main__':
    main()
