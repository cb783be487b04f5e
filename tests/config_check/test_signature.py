"""Which keywords are accepted, for constructors of every shape found in the libraries."""

import functools

import pytest
from mmengine.hooks import CheckpointHook
from mmengine.optim import CosineAnnealingLR
from mmengine.utils import deprecated_api_warning
from torch import nn

from mmtoken.config_check.signature import accepted_keywords


class Base(nn.Module):
    def __init__(self, depth: int, width: int = 1) -> None:
        super().__init__()


class Passing(Base):
    def __init__(self, *args, heads: int = 1, **kwargs) -> None:
        super().__init__(*args, width=2, **kwargs)


class Skipping(Passing):
    def __init__(self, **kwargs) -> None:
        super(Passing, self).__init__(**kwargs)


class Reading(Base):
    def __init__(self, depth: int, **kwargs) -> None:
        self.eps = kwargs.pop('eps', 0) if 'mode' in kwargs else kwargs['bias']
        super().__init__(depth)


class Keeping(Base):
    def __init__(self, depth: int, **kwargs) -> None:
        self.kwargs = kwargs


@deprecated_api_warning({'old': 'new'})
def renamed(new: int) -> int:
    return new


def test_plain_constructor_accepts_its_arguments_only():
    accepted = accepted_keywords(Base)

    assert accepted.names == {'depth', 'width'}
    assert not accepted.any


def test_kwargs_are_followed_to_the_parent_less_what_is_passed_already():
    accepted = accepted_keywords(Passing)

    assert accepted.names == {'heads', 'depth'}
    assert not accepted.any


def test_super_of_an_ancestor_skips_the_classes_between():
    assert accepted_keywords(Skipping).names == {'depth', 'width'}


def test_keys_read_from_kwargs_are_accepted_by_name():
    accepted = accepted_keywords(Reading)

    assert accepted.names == {'depth', 'eps', 'mode', 'bias'}
    assert not accepted.any


@pytest.mark.parametrize('target', [Keeping, CheckpointHook])
def test_kwargs_that_are_kept_accept_anything(target):
    assert accepted_keywords(target).any


def test_a_class_without_constructor_accepts_what_its_parent_does():
    class Child(Base):
        pass

    assert accepted_keywords(Child) == accepted_keywords(Base)


def test_partial_and_renamed_arguments_are_seen():
    assert accepted_keywords(functools.partial(Base, width=3)).names == {'depth', 'width'}
    assert accepted_keywords(renamed).names == {'old', 'new'}


def test_schedulers_pass_their_arguments_through_two_parents():
    accepted = accepted_keywords(CosineAnnealingLR)

    assert {'T_max', 'eta_min', 'eta_min_ratio', 'begin', 'end', 'by_epoch'} <= accepted.names
    assert 'milestones' not in accepted
