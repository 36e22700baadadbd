"""Charts that a notebook shows as pictures. Imported where one is drawn: matplotlib is an extra."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Chart(Figure):
    """A figure of matplotlib's that a notebook shows by itself, where nobody has imported pyplot as well."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
