"""Where this project's configs are: for configs elsewhere, and for mmpretrain's list of models."""

import warnings
from pathlib import Path

from mmtoken.errors import PACKAGE, UserError, near_miss

# A checkout comes first: what a build left in the folder of its package may be out of date.
ROOTS = (PACKAGE.parents[1], PACKAGE / '.mim')
INDEX = 'model-index.yml'
TASK = 'Image Classification'


def config_path(name: str) -> str:
    """Give the place of one of this project's configs, for the ``_base_`` of a config elsewhere.

    mmengine evaluates ``_base_`` by itself before any other line, so the import stands in it::

        _base_ = __import__('mmtoken').config_path('life/life-deit-tiny_8xb64_in1k.py')

    This works with every tool of every library. ``_base_ = 'mmtoken::life/…'`` cannot: mmengine
    knows a fixed list of packages, and would look the config's types up in registries of the
    package's own, where there is neither a detector nor a segmentor.

    Args:
        name: The config, relative to this project's ``configs`` folder.

    Returns:
        Its absolute path, in the checkout or in the installed package.

    Raises:
        UserError: If there is no such config.
    """
    folder = _root() / 'configs'
    path = folder / name
    if not path.is_file():
        known = {file.relative_to(folder).as_posix() for file in folder.rglob('*.py')}
        moved = sorted(other for other in known if Path(other).name == Path(name).name)
        hint = f'; did you mean {moved[0]!r}?' if moved else near_miss(name, known)
        raise UserError(
            f'config_path {name!r} is no config of mmtoken{hint or f"; see those in {folder}"}'
        )
    return str(path)


def leaf_configs() -> dict[str, Path]:
    """The leaf configs of this project by their names, which are those of the files.

    Raises:
        UserError: If the package has no configs beside it.
    """
    files = (_root() / 'configs').glob('*/*.py')
    return {file.stem: file for file in sorted(files) if file.parent.name != '_base_'}


def register_models() -> None:
    """Enter our classifiers into mmpretrain's list of models, so that ``get_model`` takes names.

    The index's detectors and segmentors stay out, since mmpretrain cannot build them. Nobody's
    training should end because a later mmpretrain keeps its list otherwise: that only warns.
    """
    try:
        root = _root()
    except UserError:
        return  # a package without its configs has no models to offer
    try:
        from mmpretrain.apis import ModelHub

        ModelHub.register_model_index(root / INDEX, config_prefix=root)
        known = ModelHub._models_dict
        for name, model in list(known.items()):
            ours = isinstance(model.config, str) and root in Path(model.config).parents
            if ours and TASK not in [result.task for result in model.results or ()]:
                del known[name]
    except Exception as error:
        warnings.warn(
            'the models of mmtoken are not in the list of mmpretrain, which does not take them '
            f'({type(error).__name__}: {error}); give get_model the path of a config',
            stacklevel=2,
        )


def _root() -> Path:
    """The folder with ``configs`` and the model index."""
    for root in ROOTS:
        if (root / INDEX).is_file():
            return root
    raise UserError(
        f'{PACKAGE} has no configs beside it; install the package with pip, or work in a checkout'
    )
