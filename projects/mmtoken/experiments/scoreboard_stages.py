"""The stages of a scoreboard: four studies with the same arms, three of which start from the first.

Every row is an arm of each: a classifier is trained; a probe reads its frozen patch tokens; a
detector and a segmentor are fine-tuned from it. Our design.
"""

from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS
from torch import device, nn

from mmtoken.experiments.probe_backbone import hushed
from mmtoken.experiments.scoreboard_file import (
    CLASSIFICATION,
    DETECTION,
    PROBE,
    SEGMENTATION,
    STAGES,
)
from mmtoken.experiments.study_file import fill_study
from mmtoken.experiments.study_runs import Plan, Run, run_config
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.task import text_digest

# What a dense stage's own config says of its backbone; the rest is as the row's classifier has it.
OF_TASK = (
    'img_size', 'out_type', 'out_indices', 'window_size', 'pad_small_map', 'global_attn_indexes',
)  # fmt: skip
# What a probe reads of a segmentor's config.
OF_PROBE = ('train_dataloader', 'test_dataloader')
WEIGHTS = 'final.pth'


def make_studies(board: Config, path: Path) -> dict[str, Config]:
    """The studies that a scoreboard consists of.

    Args:
        board: The board.
        path: Its file, for errors.

    Returns:
        By stage a study with one arm for each row and one point, the stage itself.

    Raises:
        UserError: If something does not fit.
    """
    stage = board.stages.classification
    arms = [
        dict(
            name=row.name,
            config=row.config,
            options=stage.options | row.options,
            keep_checkpoint=True,
        )
        for row in board.rows
    ]
    studies = {CLASSIFICATION: _study(board, CLASSIFICATION, stage, arms, path)}
    classifiers = [classifier_config(studies, row.name) for row in board.rows]
    for name in (DETECTION, SEGMENTATION):
        stage = board.stages[name]
        arms = [
            _dense_arm(stage, row.get(name, stage.config), row, classifier)
            for row, classifier in zip(board.rows, classifiers, strict=True)
        ]
        studies[name] = _study(board, name, stage, arms, path)
    probed = dict(board.stages.segmentation, metrics=board.stages.probe.metrics)
    studies[PROBE] = _study(board, PROBE, probed, arms, path)
    return {name: studies[name] for name in STAGES}


def classifier_config(studies: dict[str, Config], row: str) -> Config:
    """A row's classifier, as it is trained with the seed 0.

    Args:
        studies: The studies of the stages, at least the first.
        row: The row's name.

    Returns:
        Its merged config.
    """
    return run_config(studies[CLASSIFICATION], Run(row, CLASSIFICATION, 0), Path()).config


def plan_chain(
    board: Config, studies: dict[str, Config], row: str, seed: int, folder: Path
) -> dict[Run, Plan]:
    """What the runs of one row and seed do.

    Args:
        board: The board.
        studies: The studies of its stages.
        row: The row's name.
        seed: The seed.
        folder: Of all runs.

    Returns:
        By run its plan, the classifier's first. The digests of the others hold the classifier's, so
        that they change with it, and no path; their first file is its weights.
    """
    first = Run(row, CLASSIFICATION, seed)
    start = run_config(studies[CLASSIFICATION], first, folder)
    seen, weights = Path(board.stages.classification.data), folder / first.name / WEIGHTS
    plans = {first: start._replace(files=[seen])}
    for stage in STAGES[1:]:
        run = Run(row, stage, seed)
        plan = run_config(studies[stage], run, folder)
        read = _probed_digest(plan.config) if stage == PROBE else plan.digest
        plan.config.model.backbone.init_cfg.checkpoint = str(weights)
        data = board.stages[SEGMENTATION if stage == PROBE else stage].data
        files = [weights, *dict.fromkeys([seen, Path(data)])]
        plans[run] = Plan(plan.config, files, text_digest(f'{start.digest} {read}'))
    return plans


def build_part(cfg: Config, part: ConfigDict, place: str | None = None) -> nn.Module:
    """Build a model, or its backbone, as a config's library builds it.

    Args:
        cfg: The config.
        part: What of it.
        place: Where its parameters are; `'meta'` takes no memory.

    Returns:
        The module.
    """
    scope = MODELS.switch_scope_and_registry(cfg.default_scope)
    with scope as registry, device(place or 'cpu'), hushed():
        return registry.build(part)


def _study(
    board: Config, name: str, stage: dict[str, Any], arms: list[dict[str, Any]], path: Path
) -> Config:
    content = dict(
        title=f'{board.title}: {name}',
        question=board.question,
        metrics=stage['metrics'],
        x=dict(name='stage', values=[dict(value=name)]),
        arms=arms,
        control=board.control,
        iterations=stage['iterations'],
    )
    if 'scenes' in stage:
        content['x']['values'][0]['scenes'] = stage['scenes']
        content['subset'] = dict(key='train_dataloader.dataset.indices', draws=board.draws)
    return fill_study(Config(content), path)


def _dense_arm(
    stage: ConfigDict, config: str, row: ConfigDict, classifier: Config
) -> dict[str, Any]:
    """A row's detector or segmentor: its classifier's backbone in the place of the config's own."""
    own = load_config(config)
    backbone = classifier.model.backbone.to_dict()
    built = build_part(classifier, backbone, 'meta')
    strides, channels = (getattr(built, name, None) for name in ('out_strides', 'out_channels'))
    backbone |= {key: own.model.backbone[key] for key in OF_TASK if key in own.model.backbone}
    if '.' not in backbone['type']:
        backbone['type'] = f'{classifier.default_scope}.{backbone["type"]}'
    # Of which weights is said for each seed.
    backbone['init_cfg'] = dict(type='Pretrained', checkpoint='', prefix='backbone.')
    options = {'model.backbone': dict(backbone, _delete_=True)}
    if strides and 'patch_size' in (own.model.get('neck') or {}):
        options['model.neck.patch_size'] = strides[-1]
        if channels[-1] != own.model.neck.in_channels:
            options['model.neck.in_channels'] = channels[-1]
    return dict(name=row.name, config=config, options=options | stage.options | row.dense)


def _probed_digest(cfg: Config) -> str:
    """Of what a probe reads, so that a longer fine-tuning does not ask for another probe."""
    read = {key: cfg[key] for key in OF_PROBE}
    read |= {key: cfg.model[key] for key in ('backbone', 'data_preprocessor')}
    return text_digest(str(Config(read).to_dict()))
