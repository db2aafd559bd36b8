"""One HTML file that shows an evaluation, a training and a kernel bank, and needs nothing but a browser."""

from umsn.report.page import report
from umsn.report.pictures import GalleryPictures

__all__ = ["GalleryPictures", "report"]
