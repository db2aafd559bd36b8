"""Making a dataset's folder, finishing it, checking it (``verify``) and repairing it.

In: faces, a kernel bank and options. Out: ``faces.h5``, ``kernels.h5``, ``dataset.json`` and shards.
Only one build works on a shard at a time; what is done is never touched.
"""
