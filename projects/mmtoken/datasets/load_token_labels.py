"""Pipeline transforms that bring an image's label map to the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmpretrain.registry import TRANSFORMS

from mmtoken.datasets.label_store import LabelStore, image_name
from mmtoken.datasets.track_affine import KEY
from mmtoken.errors import UserError

FIELDS = ('token_label', 'token_label_ids', 'token_label_source')
# Of the packed image: what transforms say of its shape may be of before.
SHAPE = 'token_label_shape'


@TRANSFORMS.register_module()
class LoadTokenLabels(BaseTransform):
    """Load an image's label map; `TrackAffine` after it remembers what becomes of the image.

    Args:
        store: Folder of a store that `tools/dataset_converters/make_token_labels.py` made.
        images: Folder of the images, from which the store's names of them go.
        num_classes: Classes of patches that the model has, which the store's must be.

    Raises:
        UserError: If the store is missing, unfinished or damaged, or is of other classes.
    """

    def __init__(self, store: str, images: str, num_classes: int) -> None:
        self.store = LabelStore(store)
        self.images = Path(images)
        found = self.store.manifest
        if found.classes != num_classes:
            raise UserError(
                f'the label maps of {store} have {found.classes} classes, the config '
                f'{num_classes}; set num_classes of LoadTokenLabels and num_token_classes of the '
                f'head to {found.classes}, or make other maps: {found.command}'
            )

    def check_dataset(self, dataset: BaseDataset) -> None:
        """Refuse images without a map before training starts; `BadDataHook` asks for it.

        Args:
            dataset: The images.

        Raises:
            UserError: If one or more have no map, with how many.
        """
        names = [self._name(dataset.get_data_info(index)) for index in range(len(dataset))]
        missing = self.store.missing(names)
        if missing:
            raise UserError(
                f'{self.store.folder} has no label map of {len(missing):,} of {len(names):,} '
                f'images, such as {missing[0]!r}; make maps of the images that are trained on, as '
                f'in: {self.store.manifest.command} --overwrite'
            )

    def transform(self, results: dict) -> dict:
        """Load the map.

        Args:
            results: Of the pipeline, with 'img_path'.

        Returns:
            The results, with `token_label`, `token_label_ids`, (k, Hs, Ws) each,
            `token_label_kind` and `affine_source`.

        Raises:
            UserError: If the image has no map, or was moved before.
        """
        if KEY in results:
            raise UserError(
                'LoadTokenLabels comes after TrackAffine, and so forgets what became of the image; '
                'put it before'
            )
        values, ids = self.store.read(self.store.find(self._name(results)))
        results['token_label'] = torch.from_numpy(values)
        results['token_label_ids'] = torch.from_numpy(ids)
        results['token_label_kind'] = self.store.manifest.kind
        results[KEY] = np.eye(2, 3)
        return results

    def _name(self, image: dict) -> str:
        """What the store calls an image."""
        path = image.get('img_path')
        if path is None:
            raise UserError(
                'LoadTokenLabels finds maps by the files of images, and this data set has its '
                'images in none (no img_path); use one that does, such as CustomDataset'
            )
        name = image_name(path, self.images)
        if name is None:
            raise UserError(
                f'{path} is not in {self.images}, the folder of images of LoadTokenLabels; set '
                'images to the data_prefix of the dataset'
            )
        return name

    def __repr__(self) -> str:
        return f'{type(self).__name__}(store={self.store.folder})'


@TRANSFORMS.register_module()
class PackTokenLabels(BaseTransform):
    """mmpretrain's `PackInputs`, and the label map besides; without a map it packs as that does.

    Args:
        **options: As of `PackInputs`.
    """

    def __init__(self, **options) -> None:
        # Built by name: importing mmpretrain's data sets takes a while, and only data sets need it.
        self.inputs = TRANSFORMS.build(dict(options, type='mmpretrain.PackInputs'))

    def transform(self, results: dict) -> dict:
        """Pack.

        Args:
            results: Of the pipeline.

        Returns:
            `inputs` and `data_samples`.
        """
        packed = self.inputs(results)
        if 'token_label' in results:
            sample = packed['data_samples']
            source = torch.from_numpy(results[KEY]).float()
            for name, value in zip(
                FIELDS, (results['token_label'], results['token_label_ids'], source), strict=True
            ):
                sample.set_field(value, name)
            sample.set_field(results['token_label_kind'], 'token_label_kind', field_type='metainfo')
            shape = tuple(packed['inputs'].shape[-2:])
            sample.set_field(shape, SHAPE, field_type='metainfo')
        return packed

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.inputs})'
