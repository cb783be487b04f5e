"""The search over schedules: a space, a supernet of all of it, evolution within a budget."""

from .space import Schedule, Space, build_space
from .supernet import PSViTSupernet, SamplePathHook

__all__ = ['PSViTSupernet', 'SamplePathHook', 'Schedule', 'Space', 'build_space']
