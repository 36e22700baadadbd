"""Images to embeddings, in batches: 1,797 scanned digits that scikit-learn ships, as PNG files.

    python examples/embeddings.py [folder]

Shows: files as inputs, many to a run by `fanfold.chunks`; a model that each worker loads once; arrays as results.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

import fanfold


@lru_cache(maxsize=1)
def model(path: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean image and the directions, which a worker reads once however many runs it has."""
    with np.load(path) as stored:
        return stored["mean"], stored["directions"]


@fanfold.udf
def embedded(paths: list[Path], weights: Path) -> np.ndarray:
    """A row of 16 numbers for each image."""
    mean, directions = model(str(weights))
    pixels = np.stack([np.asarray(Image.open(path), dtype="float64").ravel() for path in paths])
    return (pixels - mean) @ directions.T


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


def prepare(where: Path, images: int) -> tuple[list[Path], Path, np.ndarray]:
    """The images as files, the model as a file, and which digit each image is."""
    where.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    paths = [where / f"{number:04}.png" for number in range(images)]
    for path, pixels in zip(paths, digits.images, strict=False):
        Image.fromarray((pixels * 15).astype("uint8")).save(path)
    fitted = PCA(16, svd_solver="full").fit(digits.data * 15 // 1)
    weights = where / "model.npz"
    np.savez(weights, mean=fitted.mean_, directions=fitted.components_)
    return paths, weights, digits.target[:images]


def main(where: str, images: int = 1797, batch: int = 64, fan_out: Callable[..., list[Any]] = fan_out) -> pd.DataFrame:
    """Digit and embedding of each image."""
    paths, weights, digits = prepare(Path(where).absolute(), images)
    batches = [{"paths": paths[first : first + batch]} for first in range(0, images, batch)]
    rows = np.concatenate(fan_out(embedded, batches, weights=weights))
    return pd.DataFrame(rows, columns=[f"e{n}" for n in range(16)]).assign(digit=digits)


def draw(found: pd.DataFrame, where: str, picture: str) -> None:
    """The first two numbers of each image, coloured by its digit; and how many neighbours are of the same digit."""
    rows, digits = found.filter(like="e").to_numpy(), found["digit"]
    nearest = KNeighborsClassifier(6).fit(rows, digits).kneighbors(rows, return_distance=False)[:, 1:]
    share = (digits.to_numpy()[nearest] == digits.to_numpy()[:, None]).mean()
    figure = Figure(figsize=(5, 4), layout="constrained")
    panel = figure.subplots()
    points = panel.scatter(found["e0"], found["e1"], c=digits, s=6, cmap="tab10")
    figure.colorbar(points, label="digit")
    panel.set(title=f"{share:.0%} of each image's nearest five are of its digit", xticks=[], yticks=[])
    figure.savefig(picture)


if __name__ == "__main__":
    print(main(sys.argv[1] if sys.argv[1:] else "embeddings").groupby("digit").mean().round(1))
