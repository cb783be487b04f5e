"""What was measured of how roll-outs fall on what they are of, as a table and a plot."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmtoken.errors import UserError
from mmtoken.experiments.estimate import estimate

METHODS = {
    'dense': 'dense roll-out',
    'ordinary': 'ordinary roll-out',
    'chance': 'chance',
    'prediction': 'the predicted tokens themselves',
}


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
