"""Work in several processes, and telling a person how far it is.

In: a function and its arguments. Out: results as they come, from this machine, Dask or Ray; progress lines.
Nothing here knows what is computed.
"""
