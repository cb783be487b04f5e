"""What costs a detector its AP, by TIDE (Bolya et al., arXiv 2008.08115), as tidecv computes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmtoken.errors import UserError

if TYPE_CHECKING:  # Comes with mmdet, which is not there for everyone who imports this package.
    from pycocotools.coco import COCO

# The paper's: what counts as found, what counts as background, and how many of an image are looked
# at.
FOUND, BACKGROUND, MAX_DETS = 0.5, 0.1, 100
KINDS = ('cls', 'loc', 'both', 'dupe', 'bkg', 'miss')


def require_tidecv() -> None:
    """Refuse to go on without tidecv.

    Raises:
        UserError: If it, or what it needs, is not installed.
    """
    try:
        import tidecv  # noqa: F401
    except ImportError as error:
        raise UserError(
            f'the error shares of DiagnosedCocoMetric need tidecv ({error}); '
            'install it with `pip install tidecv`, or set tide=False'
        ) from error


def box_errors(truth: COCO, predictions: Sequence[dict]) -> dict[str, float]:
    """By how much AP50 would rise, had the detector made none of the errors of one kind.

    Args:
        truth: The annotations of the images that were predicted on; crowds are regions in which
            nothing counts.
        predictions: The boxes, in COCO's format.

    Returns:
        The share of each of `KINDS`, from 0 to 1; −1 where there is neither an object nor a
        detection to average over.
    """
    # TIDERun and not TIDE, which sets matplotlib's style for the whole process.
    from tidecv import Data
    from tidecv.quantify import TIDERun

    objects, boxes = Data('objects', MAX_DETS), Data('boxes', MAX_DETS)
    for image in truth.getImgIds():
        # Images without objects, too: what is found there is an error.
        objects.add_image(image, str(image))
    for item in truth.loadAnns(truth.getAnnIds()):
        add = objects.add_ignore_region if item.get('iscrowd') else objects.add_ground_truth
        add(item['image_id'], item['category_id'], item['bbox'])
    for item in predictions:
        boxes.add_detection(item['image_id'], item['category_id'], item['score'], item['bbox'])
    try:
        shares = TIDERun(objects, boxes, FOUND, BACKGROUND, 'bbox', MAX_DETS).fix_main_errors()
    except ZeroDivisionError:  # tidecv's mean over the classes, where none is left.
        return dict.fromkeys(KINDS, -1.0)
    return {error.short_name.lower(): share / 100 for error, share in shares.items()}
