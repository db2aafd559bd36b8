"""Pictures as a camera takes them (a recipe's ``camera``): light, motion, sensor, mosaic, development.

In: what ``blurgen.synthesis.engine`` takes, and a ``Camera``. Out: triplets of the same shapes.
One file for each step, in the order of docs/formation.md; whole numbers throughout.
"""
