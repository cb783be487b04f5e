"""Read pickles and YAML files of data; nothing in them is executed.

mmengine's `load` runs what stands in either: a data set's annotations, proposals, a loss's weights
of the classes. `import mmtoken` has the whole process read both as data. Our design.
"""

import codecs
import io
import pickle
import re
from typing import Any, BinaryIO, TextIO

import mmengine
import torch
import yaml
from mmengine.config import ConfigDict
from mmengine.fileio.handlers.pickle_handler import PickleHandler
from mmengine.fileio.handlers.registry_utils import file_handlers
from mmengine.fileio.handlers.yaml_handler import YamlHandler
from mmengine.structures import InstanceData

from mmtoken.errors import UserError, named_reason
from mmtoken.runtime.checkpoint_types import the_cause
from mmtoken.runtime.plain_data import CONTAINERS, DATA
from mmtoken.runtime.saving.atomic_saving import replace_everywhere

mmengine_load = mmengine.load
# The loader that makes tuples, as mmengine writes them, and calls nothing.
_YAML = getattr(yaml, 'CFullLoader', yaml.FullLoader)
# A kind of numbers whose bytes stand the other way round, as pickles of all protocols write it.
_TURNED = re.compile(rb'K[\x03\x04](X\x01\0\0\0|\x8c\x01|U\x01)>')


def _storage(content: bytes) -> Any:
    """The numbers of a tensor, a file within the file, which torch would unpickle freely."""
    try:
        return torch.load(io.BytesIO(content), weights_only=True)
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(f'in the numbers of a tensor, {the_cause(error)}') from error


_BUILTINS = {name: type_ for name, type_ in (CONTAINERS | DATA).items() if 'builtins' in name}
# All that stands in data: tensors, arrays and what both are made of.
_ALLOWED = {
    **CONTAINERS,
    **DATA,
    # By the names of Python 2, in which old protocols are written.
    **{name.replace('builtins', '__builtin__'): type_ for name, type_ in _BUILTINS.items()},
    '__builtin__.xrange': range,
    '_codecs.encode': codecs.encode,
    'torch._utils._rebuild_tensor_v2': torch._utils._rebuild_tensor_v2,
    'torch.storage._load_from_bytes': _storage,
    'torch.Size': torch.Size,
    'mmengine.config.config.ConfigDict': ConfigDict,
    # mmdet's proposals.
    'mmengine.structures.instance_data.InstanceData': InstanceData,
}


class _Unpickler(pickle.Unpickler):
    """Gives a pickle what it asks for only where that is on the list."""

    def find_class(self, module: str, name: str) -> Any:
        asked = f'{module}.{name}'
        if asked not in _ALLOWED:
            raise pickle.UnpicklingError(f'it asks for {asked}, refused')
        return _ALLOWED[asked]


def read_pickle(stream: BinaryIO, **options: Any) -> Any:
    """Read a pickle of data.

    Args:
        stream: The file.
        **options: Those of `pickle.load`.

    Raises:
        Exception: Of any kind, where it is damaged or holds anything else.
    """
    content = stream.read()
    if _TURNED.search(content):
        raise pickle.UnpicklingError(
            'it holds numbers in the byte order of other machines, which are not read'
        )
    return _Unpickler(io.BytesIO(content), **options).load()


def install_safe_pickles() -> None:
    """Have mmengine read pickles and YAML files as data, wherever one is loaded."""
    file_handlers.update({name: _SafePickles() for name in ('pickle', 'pkl')})
    file_handlers.update({name: _SafeYaml() for name in ('yaml', 'yml')})
    replace_everywhere(mmengine_load, load)


def load(file: Any, *args: Any, **kwargs: Any) -> Any:
    """Load a file, as mmengine does, and name it where it holds more than data.

    Args:
        file: As of mmengine's function.
        *args: The same.
        **kwargs: The same.

    Raises:
        UserError: If it holds more, or is damaged.
    """
    try:
        return mmengine_load(file, *args, **kwargs)
    except _NoData as error:
        raise UserError(
            f'{file} cannot be read as data ({error}); it may be damaged, or hold code, which is '
            'never executed: write it again as JSON, or with numbers, texts, lists, dicts, tensors '
            'and arrays of numbers alone'
        ) from error


class _NoData(UserError):
    """A file holds something else, or is damaged."""


class _SafePickles(PickleHandler):
    def load_from_fileobj(self, file: BinaryIO, **kwargs: Any) -> Any:
        try:
            return read_pickle(file, **kwargs)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # Damaged, it may break anything that it names.
            raise _NoData(named_reason(error)) from error


class _SafeYaml(YamlHandler):
    def load_from_fileobj(self, file: TextIO, **kwargs: Any) -> Any:
        try:
            return super().load_from_fileobj(file, **{'Loader': _YAML, **kwargs})
        except yaml.constructor.ConstructorError as error:
            raise _NoData(named_reason(error)) from error
