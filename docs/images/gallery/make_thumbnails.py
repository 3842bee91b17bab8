"""Make the thumbnails of the gallery from the figures that the examples have saved."""

from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
FIGURES = HERE.parents[2] / "examples" / "figures"
WIDTH = 400
N_COLORS = 256  # one byte per pixel keeps the files small


def main() -> None:
    """Write a small copy of every figure next to this script."""
    for path in sorted(FIGURES.glob("*.png")):
        figure = Image.open(path).convert("RGB")
        height = round(figure.height * WIDTH / figure.width)
        small = figure.resize((WIDTH, height), Image.Resampling.LANCZOS)
        small.quantize(N_COLORS).save(HERE / path.name, optimize=True)


if __name__ == "__main__":
    main()
