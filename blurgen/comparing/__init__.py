"""Whether two pictures, or two datasets, share something.

In: pictures, or lists of what two datasets are made of. Out: perceptual hashes, and an ``Audit``.
Nothing here knows where pictures and lists come from.
"""
