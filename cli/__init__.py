"""The command lines: thin click commands that parse, call the library once, and print."""
