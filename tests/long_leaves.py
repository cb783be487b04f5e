"""Leaf configs that are another one but for a line, of which the ordinary run builds a sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest


def marks_of(leaf: Path) -> Sequence[pytest.MarkDecorator]:
    """The marks of the tests that build a leaf config's model: DINOv2-B is DINOv2-S but wider, and
    what is frozen is what learns; LoRA around DINOv2-B, MAE-B and what is small and frozen remain.
    """
    wider = leaf.match('*dinov2-base*') and not leaf.match('*lora-*')
    return [pytest.mark.long] if wider or leaf.match('*frozen-mae-base*') else []
