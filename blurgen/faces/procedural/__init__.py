"""Built-in labelled faces: drawn from a number, so there is nothing to download and the labels are exact.

In: a number, a seed and a size. Out: a picture and its label map; also as a source, and as files.
``person`` says who is drawn, ``render`` draws with ``head``, ``features``, ``hair``, ``skin`` and ``scene``.
"""

from __future__ import annotations

from blurgen.faces.procedural.drawn import draw_face
from blurgen.faces.procedural.folder import write_faces
from blurgen.faces.procedural.source import Procedural, open_source

__all__ = ["Procedural", "draw_face", "open_source", "write_faces"]
