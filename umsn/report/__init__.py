"""One HTML file that shows an evaluation, a training and a kernel bank, and needs nothing but a browser."""

from umsn.evaluation.kept_pictures import GalleryPictures
from umsn.report.page import report

__all__ = ["GalleryPictures", "report"]
