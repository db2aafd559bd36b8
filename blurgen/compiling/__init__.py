"""Compiling Python to machine code, and keeping the result for as long as it is that of the code.

In: a function. Out: the same function, compiled on its first call or loaded from the user's cache folder.
Compiled code is found again only if no source that it depends on has changed.
"""
