"""Whether two pictures, or two datasets, share something.

In: pictures. Out: perceptual hashes, and pairs of pictures that look the same.
Nothing here knows where the pictures come from.
"""
