"""Samples that cannot be loaded, or are not what the model expects, seen where they are loaded.

A data set is watched in the process that loads, a worker, which answers by itself: what is bad is
written down and another sample drawn, as mmengine does, or in validation and testing refused.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from mmcv.transforms import Compose as TransformCompose
from mmengine.dataset import BaseDataset, Compose

from mmtoken.errors import UserError, named_reason
from mmtoken.runtime.bad_data.contents import (
    Expected,
    channel_fault,
    depth_fault,
    label_fault,
    mask_fault,
    size_fault,
)
from mmtoken.runtime.bad_data.files import Fault, fault_of_file
from mmtoken.runtime.bad_data.log import SampleLog

# Bad samples in a row after which no worker looks for another one: far above any limit.
MOST_IN_A_ROW = 50
_LOCAL = (None, 'local', 'disk')
_PIPELINES = (Compose, TransformCompose)


class BadSample(Exception):
    """A sample is bad.

    Args:
        path: Its file.
        fault: What is wrong with it.
    """

    def __init__(self, path: str, fault: Fault) -> None:
        super().__init__(path, fault)
        self.path = path
        self.fault = fault


def base_datasets(dataset: Any) -> Iterator[BaseDataset]:
    """The data sets that load, inside those that concatenate, repeat, balance, mix or choose.

    Args:
        dataset: A data set.
    """
    if isinstance(dataset, BaseDataset):
        yield dataset
    for inner in (getattr(dataset, 'dataset', None), *(getattr(dataset, 'datasets', None) or ())):
        if inner is not None:
            yield from base_datasets(inner)


class WatchedPipeline(Compose):
    """A pipeline that tells a bad sample from a fault of the program.

    What fails up to the last transform that loads is the sample's fault; what fails later is left
    as it is. Pipelines within transforms, such as those of test-time augmentation, are watched,
    too, where they load.

    Args:
        transforms: Those of the pipeline; the same list.
        expected: What the model expects.
        gray: Whether images were loaded as gray ones before.
    """

    def __init__(self, transforms: list, expected: Expected, gray: bool = False) -> None:
        self.transforms = transforms
        self.expected = expected
        self.gray = gray or any(
            str(getattr(t, 'color_type', '')).startswith('gray') for t in transforms
        )
        for holder, key, pipeline in chain(*map(_pipelines_in, transforms)):
            if _loads(pipeline.transforms):
                holder[key] = WatchedPipeline(pipeline.transforms, expected, self.gray)

    def __iter__(self) -> Iterator[Any]:
        """As mmcv's pipelines do, by which random numbers are shared."""
        return iter(self.transforms)

    def __call__(self, data: dict) -> dict | None:
        """Transform a sample, as mmengine does.

        Args:
            data: What the data set knows of it.

        Returns:
            The sample; None where a transform leaves nothing of it.

        Raises:
            BadSample: If it is bad.
        """
        path = _text(data, 'img_path')
        size = data.get('height'), data.get('width')
        loads = [i for i, t in enumerate(self.transforms) if type(t).__name__.startswith('Load')]
        last = loads[-1] if loads else -1
        _refuse(path, label_fault(data, self.expected.labels))
        for index, transform in enumerate(self.transforms):
            data = transform(data) if index > last else self._load(transform, data, path, size)
            if data is None:
                return None
        _refuse(path, channel_fault(data, self.expected.channels, self.gray))
        return data

    def _load(self, transform: Any, data: dict, path: str, size: tuple) -> dict | None:
        """One of the transforms that load, or stand between these."""
        before, mask = set(data), _text(data, 'seg_map_path')
        local = _is_local(transform)
        if 'FromFile' in type(transform).__name__ and path and local:
            _refuse(path, fault_of_file(path))
        try:
            found = transform(data)
        except (UserError, MemoryError, BadSample):
            raise
        except Exception as error:  # Readers answer what they cannot read with whatever breaks.
            of_mask = mask and 'Annotations' in type(transform).__name__
            raise BadSample(mask if of_mask else path, fault_of_error(error)) from error
        if found is None and getattr(transform, 'ignore_empty', False):
            raise BadSample(path, Fault('unreadable', 'cannot be read'))
        new = set(found or ()) - before
        if 'img' in new:
            _refuse(path, size_fault(found['img'], size))
        if 'gt_seg_map' in new and mask:
            _refuse(mask, fault_of_file(mask) if local else None)
            _refuse(mask, depth_fault(mask) if local else None)
            _refuse(mask, mask_fault(found, self.expected))
        return found


class WatchedLoading:
    """In place of a data set's ``prepare_data``: what is bad is written down and drawn anew.

    Args:
        dataset: The data set.
        number: Which one of the loader it is.
        loader: The loader's key in the config.
        log: Where bad samples are written down; None where each is an error.
        expected: What the model expects.
        strict: Whether a bad sample is an error.
    """

    def __init__(
        self,
        dataset: BaseDataset,
        number: int,
        loader: str,
        log: SampleLog | None,
        expected: Expected,
        strict: bool,
    ) -> None:
        self.dataset = dataset
        self.number = number
        self.loader = loader
        self.log = log
        self.expected = expected
        # mmengine draws no other sample in test mode.
        self.strict = strict or dataset.test_mode
        self.in_a_row = 0

    def __call__(self, index: int) -> Any:
        """A sample; None where another one is to be drawn.

        Args:
            index: Its number.

        Raises:
            UserError: If it is bad and must not be replaced, or if too many in a row are bad.
        """
        # Here, since other hooks exchange the pipeline while a run goes on.
        if type(self.dataset.pipeline) is Compose:
            self.dataset.pipeline = WatchedPipeline(self.dataset.pipeline.transforms, self.expected)
        try:
            sample = type(self.dataset).prepare_data(self.dataset, index)
        except BadSample as bad:
            self._answer(index, bad)
            return None
        if sample is None:
            if self.strict:
                path = _text(self.dataset.get_data_info(index), 'img_path')
                raise self._refusal(path, 'is left empty by the pipeline')
            self.log.count_redrawn()
        self.in_a_row = 0
        return sample

    def _answer(self, index: int, bad: BadSample) -> None:
        path = bad.path or f'sample {index}'
        if self.strict:
            raise self._refusal(path, bad.fault.text) from bad
        self.log.write(self.loader, f'{self.number}:{index}', path, bad.fault)
        self.in_a_row += 1
        if self.in_a_row >= MOST_IN_A_ROW:
            raise UserError(
                f'{self.loader}: {self.in_a_row} samples in a row are bad, the last one {path}, '
                f'which {bad.fault.text}; correct the paths or mend the files (all are listed in '
                f'{self.log.path})'
            ) from bad

    def _refusal(self, path: str, text: str) -> UserError:
        return UserError(
            f'{self.loader}: {path} {text}, and where a model is tested no sample is replaced; '
            'mend the file, or take it out of the annotations'
        )


def _pipelines_in(transform: Any) -> Iterator[tuple[Any, Any, Any]]:
    """The pipelines that a transform has, alone, in a list or in a dict: that, the key, each."""
    own = getattr(transform, '__dict__', {})
    for holder in (own, *own.values()):
        if isinstance(holder, (list, dict)):
            items = holder.items() if isinstance(holder, dict) else enumerate(holder)
            yield from ((holder, k, v) for k, v in list(items) if type(v) in _PIPELINES)


def _loads(transforms: list) -> bool:
    """Whether any of the transforms, or of those within them, loads."""
    return any(
        type(transform).__name__.startswith('Load')
        or any(_loads(pipeline.transforms) for _, _, pipeline in _pipelines_in(transform))
        for transform in transforms
    )


def fault_of_error(error: Exception) -> Fault:
    """What is wrong with a file that a reader answers with an error.

    Args:
        error: The error.
    """
    if isinstance(error, FileNotFoundError):
        return Fault('missing', 'does not exist')
    if isinstance(error, AssertionError):
        return Fault('unreadable', 'cannot be decoded')
    return Fault('unreadable', f'cannot be read ({named_reason(error)})')


def _is_local(transform: Any) -> bool:
    """Whether a transform reads files of this machine by their paths."""
    for name in ('backend_args', 'file_client_args'):
        if (getattr(transform, name, None) or {}).get('backend') not in _LOCAL:
            return False
    return True


def _text(data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ''


def _refuse(path: str, fault: Fault | None) -> None:
    if fault is not None:
        raise BadSample(path, fault)
