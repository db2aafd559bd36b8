"""One file for each dataset of faces that can be read: its folders, its splits and its labels.

In: a folder as the dataset's authors publish it. Out: faces as ``blurgen.faces.source.Face``.
A new dataset is a new file here and a line in ``blurgen.faces.SOURCES``.
"""
