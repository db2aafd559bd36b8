"""The paper's evaluation: methods run on test pictures, scored, tabulated and drawn.

In: a checkpoint and a test set, dataset or folders. Out: OUT/ with tables and figures.
What one score means is in ``umsn.scoring``.
"""
