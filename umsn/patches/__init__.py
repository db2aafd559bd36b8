"""Batches of patches for a training, from shards or made on the training's device.

In: a ``blurgen`` dataset. Out: float images, class masks and their order, the same after a resume.
Nothing here knows what is learned.
"""
