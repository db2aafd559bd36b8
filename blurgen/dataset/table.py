"""What the rows of a set are made of, as columns: for counting and choosing without a pixel being read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.jobs.progress import counted

if TYPE_CHECKING:
    from blurgen.dataset.reading import Dataset


class SampleTable(dict[str, NDArray[Any]]):
    """Columns of one length by name, a line for each row of a set, in its order.

    ``sample``, ``face`` (its number), ``name`` (of the face), ``identity`` (of the person, -1 unknown),
    ``labelled``, ``top`` and ``left`` (pixels), ``kernel`` and ``kernel_size`` (pixels). A column
    compared with a value is a mask that ``Dataset.batch`` takes:

    >>> dataset = blurgen.open_dataset(small_dataset)
    >>> large = dataset.table()["kernel_size"] >= 5
    >>> len(dataset.batch(large)) == int(large.sum())
    True
    """

    def __repr__(self) -> str:
        lines = len(next(iter(self.values()), ()))
        return f"SampleTable({counted(lines, 'row')}: {', '.join(self)})"

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame; InputError when pandas is not installed."""
        try:
            import pandas  # noqa: PLC0415
        except ImportError:
            raise InputError("A DataFrame needs pandas: pip install pandas") from None
        return pandas.DataFrame(dict(self))

    def _repr_html_(self) -> str | None:
        try:
            return str(self.to_pandas()._repr_html_())
        except InputError:
            return None  # the plain text will do


def sample_table(dataset: Dataset, set_name: str) -> SampleTable:
    """Return the table of one set; see ``Dataset.table``."""
    index = dataset.index(set_name)
    faces, face, kernel = dataset.faces, index["image"], index["kernel"]
    names = np.array([faces.name(i) for i in range(len(faces))], object)
    return SampleTable(
        sample=index["sample"],
        face=face,
        name=names[face],
        identity=faces.table["identity"][face],
        labelled=faces.labelled[face],
        top=index["top"],
        left=index["left"],
        kernel=kernel,
        kernel_size=dataset.bank.sizes[kernel],
    )
