"""Classes of a config that are not those of its data, where that is quick to read."""

import inspect
import json
import os
from collections.abc import Iterator

from mmengine.dataset import BaseDataset

from mmtoken.config_check.parts import LOADERS, dict_at, find_parts, text_at, type_name
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.walk import Place
from mmtoken.errors import near_miss

# Bytes; COCO's own training annotations are 450 MB and take many seconds.
_QUICK = 2**26
# How alike the name of a class and that of a category are where one is a slip of the other.
_ALMOST = 0.75


def annotation_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find datasets whose classes are not those of their annotations.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    for part in find_parts(content, scope, *LOADERS):
        if inspect.isclass(part.targets[0]) and issubclass(part.targets[0], BaseDataset):
            classes = named_classes(part)
            nameless = [name for name in classes or () if not isinstance(name, str)]
            if nameless:
                yield Problem(
                    f'{part}.metainfo.classes has {nameless[0]!r}, which is not a text; list the '
                    'names of the classes'
                )
            elif classes:
                yield from _of_categories(part, classes)
                yield from _of_folders(part, classes)
                yield from _of_label_map(part, classes)


def named_classes(part: Place) -> list[str] | None:
    """The classes of a dataset by the config, else by its type.

    Args:
        part: The dataset.

    Returns:
        Their names; None where neither says them.
    """
    # The older argument of mmpretrain, which metainfo overrides.
    given = {key: part.node[key] for key in ('classes',) if part.node.get(key) is not None}
    given |= dict_at(part.node, 'metainfo')
    classes = (part.targets[0].METAINFO | given).get('classes')
    return list(classes) if isinstance(classes, (list, tuple)) else None


def class_folders(part: Place) -> list[str] | None:
    """The folders that mmpretrain takes for the classes of a dataset without annotations.

    Args:
        part: The dataset.

    Returns:
        Their names; None where it has annotations, or no folder yet.
    """
    node, split = part.node, text_at(part.node, 'split')
    if not hasattr(part.targets[0], '_find_samples') or node.get('with_label') is False:
        return None
    prefix = text_at(dict_at(node, 'data_prefix'), 'img_path') or text_at(node, 'data_prefix')
    root = os.path.expanduser(text_at(node, 'data_root'))
    folder = os.path.join(root, os.path.expanduser(prefix or split))
    listed = node.get('ann_file') or os.path.exists(os.path.join(root, 'meta', f'{split}.txt'))
    if listed or split == 'test' or not os.path.isdir(folder):
        return None
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def _of_folders(part: Place, classes: list[str]) -> Iterator[Problem]:
    folders = class_folders(part)
    if folders and len(folders) != len(classes):
        yield Problem(
            f'{part} ({type_name(part)}) has {len(classes)} classes, and its folder has '
            f'{len(folders)}, {_some(folders)}; name those in {part}.metainfo'
        )


def _of_categories(part: Place, classes: list[str]) -> Iterator[Problem]:
    """Classes that COCO's annotations do not have: their objects are left out without a word."""
    path = os.path.join(text_at(part.node, 'data_root'), text_at(part.node, 'ann_file'))
    if not hasattr(part.targets[0], 'COCOAPI') or not os.path.isfile(path):
        return
    if os.path.getsize(path) > _QUICK or not path.endswith('.json'):
        return
    try:
        names = _category_names(path)
    except (ValueError, RecursionError) as error:
        yield Problem(
            f"{part}.ann_file {path!r} is no file of annotations in COCO's format ({error}); it "
            'may be truncated: copy or make it again'
        )
        return
    absent = [name for name in classes if name not in names]
    where = f'{part}.ann_file {path!r} has the categories {_some(names)}'
    if len(absent) == len(classes):
        yield Problem(f'{where}, and none of the classes {_some(classes)}; name them in metainfo')
        return
    for name in absent:
        hint = near_miss(name, set(names) - set(classes), _ALMOST)
        yield Problem(
            f'{where}, and no {name!r}, which is a class of {part}{hint or "; leave it out"}',
            certain=bool(hint),
        )


def _category_names(path: str) -> list[str]:
    """The categories of a file in COCO's format.

    Raises:
        ValueError: If it is none.
    """
    with open(path, encoding='utf-8') as file:
        content = json.load(file)
    if not isinstance(content, dict) or not isinstance(content.get('categories', []), list):
        raise ValueError('it has no list of categories')
    categories = content.get('categories', [])
    for category in categories:
        if not isinstance(category, dict) or not isinstance(category.get('name'), str):
            raise ValueError(f'a category is {category!r}, without a name')
    return [category['name'] for category in categories]


def _of_label_map(part: Place, classes: list[str]) -> Iterator[Problem]:
    """Classes that mmseg and mmdet cannot map the labels of their datasets to."""
    own = part.targets[0].METAINFO.get('classes')
    foreign = [name for name in classes if own and name not in own]
    if hasattr(part.targets[0], 'get_label_map') and foreign:
        yield Problem(
            f'{part}.metainfo has the classes {_some(foreign)}, which {type_name(part)} does not '
            f'have; use {part}.type=BaseSegDataset for classes of your own'
        )


def _some(names: list[str]) -> str:
    """A list of names, cut where it is long."""
    return ', '.join(map(repr, names[:5])) + (', ...' if len(names) > 5 else '')
