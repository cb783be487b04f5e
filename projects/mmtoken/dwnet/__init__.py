"""DWNet (Han et al., arXiv 2106.04263): depth-wise convolution in the place of local attention."""

from .dwnet import DWNet
from .homogeneous import HomogeneousConv
from .inhomogeneous import InhomogeneousConv
from .mixer import DepthwiseMixer
from .window_sum import window_sum

__all__ = ['DWNet', 'DepthwiseMixer', 'HomogeneousConv', 'InhomogeneousConv', 'window_sum']
