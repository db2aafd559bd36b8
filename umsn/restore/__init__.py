"""Using trained networks: photographs of any size, with faces found or given.

In: a checkpoint and pictures. Out: sharp pictures, label maps.
Nothing here trains or scores.
"""
