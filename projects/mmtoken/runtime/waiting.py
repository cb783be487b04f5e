"""How the threads of an operation wait for each other, on a machine that others use too.

This module imports nothing that loads torch.
"""

import os
from collections.abc import MutableMapping

# What says it: to every OpenMP library, to GNU's, which torch's wheels bring along, and to Intel's.
VARIABLES = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')


def wait_passively(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads that wait give their core away, unless the user has said how they wait.

    OpenMP's threads spin while they wait for each other. Where another program has the core of one,
    the other ones spin until it gets it back, after every operation: with a neighbor on the same
    two cores, steps of 0.16 s took 2.6 s. The library reads the variable when it is loaded, so this
    comes before torch; where torch is there already, only processes that are started later wait so.

    Args:
        environment: Where the variables are; those of this process.
    """
    if not any(name in environment for name in VARIABLES):
        environment['OMP_WAIT_POLICY'] = 'passive'
