"""Scores of restored pictures: PSNR, SSIM, segmentation, recognition, confidence; and the tables they fill.

In: pairs of clean and restored pictures. Out: numbers and tables.
Nothing here restores a picture.
"""
