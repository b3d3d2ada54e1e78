"""Draw `examples/smear.png`, the image on which the commands of the README run.

python -m scripts.draw_example
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from leuko.images.synthetic import rendering

TARGET = Path(__file__).parents[1] / "examples" / "smear.png"


def main() -> None:
    smear = rendering.render(
        width=640,
        height=480,
        um_per_px=0.2,
        seed=3,
        stain="pink",
        white_cells={"blast": 10, "lymphocyte": 1, "neutrophil": 1},
        touching=0.2,
        rouleaux=0.3,
    )
    TARGET.parent.mkdir(exist_ok=True)
    Image.fromarray(smear.image).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
