"""A dataset in a folder: its list (``manifest``), its shards, and reading or making its triplets.

In: the folder that ``blurgen.building`` made. Out: triplets by row and by batch.
Nothing here writes but ``dataset.json`` and shards for those who build.
"""
