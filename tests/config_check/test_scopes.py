"""In which library the type of a dict is looked up, and among what."""

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, Registry

from mmtoken.config_check.check import find_problems
from mmtoken.config_check.types import find_targets
from mmtoken.runtime.cli import load_config

DATASET = ('train_dataloader', 'dataset')
BACKBONE = dict(
    type='mmpretrain.TokenViT',
    arch='deit-tiny',
    projection=dict(type='LIFEProjection', kernel_sizes=(3, 5)),
    norm_cfg=dict(type='LN', eps=1e-6),
    pool_before=(4,),
    pool=dict(type='TokenPool'),
)
NECK = dict(
    type='mmpretrain.SimpleFeaturePyramid',
    in_channels=192,
    out_channels=256,
    norm_cfg=dict(type='LN2d', eps=1e-6),
)


def found(scope: str, **content: object) -> list[str]:
    """The problems of a config with this default scope."""
    return [problem.text for problem in find_problems(Config(dict(default_scope=scope, **content)))]


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_parts_of_our_backbone_and_neck_are_known_in_every_library(scope):
    assert found(scope, model=dict(backbone=BACKBONE, neck=NECK)) == []


def test_a_part_may_be_of_the_library_around_it():
    backbone = dict(type='mmpretrain.ResNet', depth=50, conv_cfg=dict(type='NormedConv2d'))

    assert found('mmdet', model=dict(backbone=backbone)) == []


@pytest.mark.parametrize(
    ('part', 'said'),
    [
        (dict(type='LIFEProjecton'), "did you mean 'LIFEProjection'"),
        (dict(type='LIFEProjection', kernel_size=(3, 5)), "did you mean 'kernel_sizes'"),
        # Whose this is, only the backbone knows.
        (
            dict(kernel_size=(3, 5)),
            "LinearProjection does not take 'kernel_size'",
        ),
        ('LIFEProjection', "'LIFEProjection' is not the config of a part"),
    ],
)
def test_a_slip_in_a_part_of_our_backbone_is_seen_in_a_detector(part, said):
    text, *_ = found('mmdet', model=dict(backbone=dict(BACKBONE, projection=part)))

    assert text.startswith('model.backbone')
    assert said in text


def test_a_type_of_another_library_is_not_known_without_its_scope():
    (text,) = found('mmdet', model=dict(backbone=dict(type='LIFEViT')))

    assert "not registered in the scope 'mmdet'; did you mean 'mmpretrain.LIFEViT'?" in text


def test_a_config_without_a_scope_is_told_which_one_it_wants():
    (problem,) = find_problems(Config(dict(model=dict(type='ImageClassifier', backbone={}))))

    assert problem.text.endswith("it is mmpretrain's, so set default_scope = 'mmpretrain'")


def test_a_misspelt_type_with_its_scope_is_suggested_with_it():
    (text,) = found('mmdet', model=dict(backbone=dict(type='mmpretrain.LIFEVit')))

    assert text.endswith("did you mean 'mmpretrain.LIFEViT'?")


@pytest.mark.parametrize(
    'base',
    [
        'mmdet::_base_/datasets/coco_instance.py',
        'mmpretrain::_base_/datasets/imagenet_bs256_rsb_a12.py',
    ],
)
def test_the_scope_that_mmengine_adds_to_a_variable_is_no_change_of_it(tmp_path, base):
    (tmp_path / 'config.py').write_text(f'_base_ = {base!r}\ndefault_scope = "mmseg"\n')

    problems = find_problems(load_config(str(tmp_path / 'config.py')))

    assert not any('changes nothing' in problem.text for problem in problems)


def test_a_variable_of_another_package_set_in_vain_is_seen(tmp_path):
    text = "_base_ = 'mmdet::_base_/datasets/coco_instance.py'\ndata_root = 'elsewhere/'\n"
    (tmp_path / 'config.py').write_text(text)

    (problem,) = find_problems(load_config(str(tmp_path / 'config.py')))

    assert problem.text.startswith("data_root = 'elsewhere/' changes nothing")


def test_a_name_that_a_metric_has_too_is_a_dataset_where_one_stands():
    from mmpretrain.registry import DATASETS

    class COCOCaption:
        def __init__(self, data_root: str) -> None:
            pass

    before = DATASETS.module_dict.get('COCOCaption')
    DATASETS.register_module(module=COCOCaption, force=True)
    try:
        assert find_targets('COCOCaption', 'mmpretrain', DATASET) == [COCOCaption]
    finally:
        DATASETS.module_dict['COCOCaption'] = before
        if before is None:
            del DATASETS.module_dict['COCOCaption']


@pytest.mark.parametrize(
    ('key', 'node', 'said'),
    [
        ('train_dataloader', dict(dataset=dict(type='Accuracy')), 'registered as a dataset'),
        ('train_dataloader', dict(sampler=dict(type='COCO')), 'registered as a data sampler'),
        ('test_evaluator', dict(type='CustomDataset'), 'registered as a metric'),
        ('custom_hooks', [dict(type='Accuracy')], 'registered as a hook'),
    ],
)
def test_what_is_registered_as_something_else_is_refused_where_it_cannot_stand(key, node, said):
    (text,) = found('mmpretrain', **{key: node})

    assert said in text


def test_a_suggestion_is_of_what_the_place_takes():
    # `Accuracy` would be nearer, and is a metric.
    (text,) = found('mmpretrain', train_dataloader=dict(dataset=dict(type='Acuracy')))

    assert 'Accuracy' not in text


def test_a_transform_within_another_is_suggested_among_transforms():
    transforms = [dict(type='RandomFlp', prob=0.5)]
    pipeline = [dict(type='RandomApply', transforms=transforms)]

    (text,) = found('mmpretrain', train_dataloader=dict(dataset=dict(pipeline=pipeline)))

    assert text.startswith('train_dataloader.dataset.pipeline.0.transforms.0.type')
    assert text.endswith("did you mean 'RandomFlip'?")


class Owner:
    """A part that takes a key out of the dict of another before it builds it."""

    def __init__(self, inner: dict, steps: list) -> None:
        self.depth = inner.pop('depth_of_inner', 0)


def test_a_key_that_the_owner_of_a_part_takes_out_is_let_pass_and_no_other():
    inner = dict(type='LinearNeck', in_channels=1, out_channels=1, depth_of_inner=3, width_of=4)

    (text,) = found('mmpretrain', model=dict(type=Owner, inner=inner, steps=[]))

    assert "'width_of'" in text


def test_a_type_that_its_owner_reads_by_itself_is_uncertain():
    backbone = dict(
        type='LoRAModel',
        module=dict(type='VisionTransformer', arch='deit-tiny'),
        targets=[dict(type='qkv')],
    )

    (problem,) = find_problems(Config(dict(default_scope='mmpretrain', model=backbone)))

    assert problem.text.startswith("model.targets.0.type 'qkv'")
    assert not problem.certain


def test_how_gradients_are_clipped_is_no_registered_type():
    clip = dict(type='value', clip_value=1.0)

    assert (
        found('mmpretrain', optim_wrapper=dict(optimizer=dict(type='SGD', lr=1), clip_grad=clip))
        == []
    )


def test_a_second_hook_of_its_kind_is_let_pass():
    hooks = dict(checkpoint_2=dict(type='CheckpointHook', interval=5))

    assert found('mmpretrain', default_hooks=hooks) == []


class Unconstructed:
    """Built in a way of its own, as what extends the class of a built model is."""


def test_keys_of_a_class_without_a_constructor_are_uncertain():
    model = dict(type=Unconstructed, width=3)

    (problem,) = find_problems(Config(dict(default_scope='mmpretrain', model=model)))

    assert "does not take 'width'" in problem.text
    assert not problem.certain


def test_a_registry_of_a_projects_own_is_no_library_to_look_in():
    class Registered(Owner):
        pass

    registry = Registry('model', parent=MODELS, scope='own_project')
    registry.register_module(module=Registered)
    neck = dict(type='LinearNeck', in_channels=1, out_channels=1)

    assert found('mmpretrain', model=dict(type=Registered, inner=neck, steps=[])) == []


DIAGNOSED = dict(
    type='mmpretrain.DiagnosedCocoMetric',
    ann_file='truth.json',
    metric=['bbox', 'segm'],
    classwise=True,
    format_only=False,
    tide=False,
)


def test_our_metric_is_known_in_configs_of_mmdet():
    assert found('mmdet', val_evaluator=DIAGNOSED, test_evaluator=[DIAGNOSED]) == []


@pytest.mark.parametrize(
    ('slip', 'said'),
    [
        (dict(type='mmpretrain.DiagnosedCocoMetrics'), "'mmpretrain.DiagnosedCocoMetric'"),
        (dict(type='DiagnosedCocoMetric'), "'mmpretrain.DiagnosedCocoMetric'"),
        (dict(class_wise=True), "does not take 'class_wise'"),
        # It reports the recall at 100 and no other.
        (dict(proposal_nums=(1, 10, 100)), "does not take 'proposal_nums'"),
    ],
)
def test_a_slip_in_our_metric_is_seen_in_configs_of_mmdet(slip, said):
    (text,) = found('mmdet', val_evaluator=DIAGNOSED | slip)

    assert said in text
