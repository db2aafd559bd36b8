"""Blur kernels: camera paths (``paths``), drawn as Q15 weights and kept in a bank.

In: a motion model and a seed, or somebody's kernels. Out: a ``KernelBank`` and its file ``kernels.h5``.
Nothing here knows what is blurred.
"""
