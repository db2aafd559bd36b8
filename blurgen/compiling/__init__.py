"""Compiling Python to machine code, and keeping the result for as long as it is that of the code."""
