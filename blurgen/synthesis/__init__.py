"""What a sample is made of (``recipe``) and making it (``engine``, ``convolve``, ``camera``).

In: pixels and labels of faces, weights of kernels, sample numbers. Out: triplets clean, blurry, mask.
Nothing here reads or writes a file.
"""
