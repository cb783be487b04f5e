"""A small search over tiny data, its config and a baseline."""

from pathlib import Path

from mmengine.config import Config

from mmtoken.psvit.search.search_file import load_search

REPO = Path(__file__).parents[1]
SMALL = """
_base_ = '{repo}/tools/searches/digits.py'
space = dict(units=2, widths=[12, 24], num_heads=[2, 3])
budget = dict(macs=4e6)
config = 'small.py'
baselines = [dict(name='DeiT', config='deit.py')]
folds = 4
supernet = dict(iterations=3)
retraining = dict(top=1, random=1, iterations=2)
"""
CONFIG = """
_base_ = '{repo}/configs/digits/{name}-d8w96-144_digits-cls.py'
model = dict(head=dict(in_channels=24), backbone=dict(arch=dict(_delete_=True, stages=[
    dict(depth=2, embed_dims=12, num_heads=2), dict(depth=2, embed_dims=24, num_heads=3)])))
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
"""
DEIT = """
_base_ = '{repo}/configs/digits/deit-d6w96_digits-cls.py'
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
"""


def write_search(scenes: Path) -> Config:
    """Write the search and what it names into the current folder, and read it.

    Args:
        scenes: The digit data set.

    Returns:
        The search.
    """
    Path('data').mkdir()
    Path('data/digit_scenes').symlink_to(scenes)
    Path('small.py').write_text(CONFIG.format(repo=REPO, name='psvit'))
    Path('deit.py').write_text(DEIT.format(repo=REPO))
    return changed('')


def changed(text: str) -> Config:
    """The search with some lines more.

    Args:
        text: The lines.

    Returns:
        The search.
    """
    Path('search.py').write_text(SMALL.format(repo=REPO) + text)
    return load_search(Path('search.py'))
