"""Test pictures as published: clean faces x kernel sizes x kernels, as PNG files with a list.

In: faces and a kernel bank that no training set uses. Out: a folder with ``testset.json``; its check.
What is evaluated reads it; nothing is trained on it.
"""
