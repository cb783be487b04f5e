"""Token-level vision transformers on OpenMMLab; importing the package registers everything it has."""

import importlib

__version__ = '0.1.0'

for _name in ('vit', 'life', 'dense', 'datasets', 'convert', 'runtime.pretrained'):
    try:
        importlib.import_module(f'mmtoken.{_name}')
    except ModuleNotFoundError as error:
        if not (error.name or '').startswith('mmtoken'):
            raise
