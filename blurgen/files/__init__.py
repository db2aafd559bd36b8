"""Files of any kind: written whole or not at all, read within limits, and checked by digest.

In: paths and bytes. Out: HDF5 and PNG files, JSON, digests; InputError for what is damaged or hostile.
Nothing here knows what a face or a kernel is.
"""
