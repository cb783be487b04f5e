"""What the demo is made of: its stages as tasks, their table, and which numbers fall short."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mmtoken.datasets.label_store import MANIFEST
from mmtoken.experiments.demo_pictures import (
    classification_picture,
    detection_picture,
    segmentation_picture,
)
from mmtoken.runtime.cli import load_config
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

# Where the digit configs look for it.
DATA = Path('data/digit_scenes')
META = DATA / 'meta.json'
_CLASSIFICATION = DATA / 'classification'
LABELS = _CLASSIFICATION / 'token_labels'


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
        options: Overrides of every demo.
        processes: How many train it side by side, each with a batch of its own.
        out: Where the predictions go, in the stage's folder.
        pretrained: Whether it starts from the classification stage.
    """

    name: str
    config: str
    metrics: tuple[Metric, ...]
    minutes: float
    quick: dict[str, int]
    options: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    out: str = 'predictions.pkl'
    pretrained: bool = True


def data_task(work_dir: Path, tools: Path, config: str) -> Task:
    """Drawing the digit scenes where the digit configs look for them, and what each patch shows.

    Args:
        work_dir: The demo's folder.
        tools: Folder of the tools.
        config: Of the classifier, whose training images get label maps.

    Returns:
        The task.
    """
    converters = tools / 'dataset_converters'
    draw = [*script(converters / 'digit_scenes.py'), '--out', str(DATA)]
    label = [*script(converters / 'make_token_labels.py'), config, '--out', str(LABELS)]
    label += ['--from-masks', str(_CLASSIFICATION / 'masks' / 'train')]
    label += ['--num-classes', '10', '--grid', '16', '16']
    return Task(
        'data',
        work_dir / 'data',
        (Step('draw', lambda: draw, 0.3), Step('label', lambda: label, 0.2)),
        outputs=[META, LABELS / MANIFEST],
    )


def model_task(stage: Stage, work_dir: Path, tools: Path, quick: bool = False) -> Task:
    """Training and testing of one model.

    Args:
        stage: Which.
        work_dir: The demo's folder.
        tools: Folder of the tools.
        quick: Whether a few iterations are enough.

    Returns:
        The task; its identity is the config with all overrides.
    """
    folder, weights = work_dir / stage.name, work_dir / 'classification' / 'final.pth'
    options: dict[str, Any] = stage.options | (stage.quick if quick else {})
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
            # Only the test at the end counts, and validation would take time from training.
            train_step(
                tools,
                stage.config,
                folder,
                cfg,
                ['--no-validate', *flags],
                weight=stage.minutes,
                processes=stage.processes,
            ),
            test_step(tools, stage.config, folder, flags, folder / stage.out, weight=0.3),
        ),
        identity={'config': stage.config, 'merged': text_digest(str(cfg.to_dict()))},
        inputs=[META, weights] if stage.pretrained else [META],
        outputs=[folder / stage.out] if stage.pretrained else [folder / stage.out, weights],
        needs=['classification'] if stage.pretrained else ['data'],
        finish=finish,
    )


def paint(stages: Sequence[Stage], work_dir: Path) -> list[Path]:
    """Paint the predictions of the three models.

    Args:
        stages: Classification, detection and segmentation.
        work_dir: The demo's folder.

    Returns:
        The pictures.
    """
    pictures = [work_dir / f'{stage.name}.png' for stage in stages]
    predictions = [work_dir / stage.name / stage.out for stage in stages]
    classification_picture(predictions[0], pictures[0])
    annotations = DATA / 'detection' / 'annotations' / 'instances_val.json'
    detection_picture(predictions[1], annotations, pictures[1])
    scenes = DATA / 'segmentation'
    truth, images = scenes / 'annotations' / 'validation', scenes / 'images' / 'validation'
    segmentation_picture(predictions[2], truth, images, pictures[2])
    return pictures


def report(
    stages: Sequence[Stage], results: dict[str, dict[str, Any]], work_dir: Path
) -> list[str]:
    """Print the table and write it as ``results.md`` and ``results.json``.

    Args:
        stages: What was trained.
        results: The stages' results by name.
        work_dir: The demo's folder.

    Returns:
        A phrase for each number that fell short of what is expected.
    """
    rows, short = [], []
    for stage in stages:
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
    kept = {name: {k: v for k, v in r.items() if k != 'question'} for name, r in results.items()}
    write_json(work_dir / 'results.json', {'stages': kept} | environment())
    return short
