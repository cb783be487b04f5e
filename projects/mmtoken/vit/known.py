"""What is known of sizes while a graph is made of the backbone."""

from torch import SymBool, Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true


def known(condition: bool | SymBool | Tensor) -> bool:
    """Whether a condition on sizes holds for all that a graph is exported for.

    Asking `if` of a size that may vary would bind the graph to the answer of the example.

    Args:
        condition: A comparison of sizes: a tensor where `torch.jit.trace` looks on, whose graphs
            are of the example's size alone.
    """
    return statically_known_true(condition) if isinstance(condition, SymBool) else bool(condition)
