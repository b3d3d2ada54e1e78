"""Build the wheel, look at what is inside, install it into a clean environment, and use it there.

python -m scripts.check_wheel            needs an index of packages, as `pip install` does
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMEAR = ROOT / "examples" / "smear.png"
INSIDE = (
    "leuko/py.typed",
    "leuko/cells/segmentation/learned/network.onnx",
    "leuko/networks/embedded/leuko.json",
    "leuko/networks/embedded/config.json",
    "leuko/networks/embedded/model.safetensors",
    "leuko/networks/embedded/onnx/model.onnx",
    "leuko/networks/embedded/README.md",
    "leuko/serving/theme.css",
)
OUTSIDE = ("split.json", "cleaning.json", "tests/", "benchmarks/", "scripts/", "examples/")
HEAVY = ("torch", "torchvision", "timm", "transformers", "datasets")
USE = """
import importlib.util, sys
import leuko
heavy = [name for name in sys.argv[2:] if importlib.util.find_spec(name)]
assert not heavy, f"the light installation brings {heavy}"
finding = leuko.load().classify(sys.argv[1])
cells = leuko.segment(sys.argv[1])
print(finding.decision, int(cells.white_cells.max()), "white cells")
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="leuko-wheel-") as scratch:
        place = Path(scratch)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", place, ROOT)
        (wheel,) = place.glob("*.whl")
        check_content(wheel)
        environment = place / "environment"
        run(sys.executable, "-m", "venv", environment)
        python, leuko = environment / "bin" / "python", environment / "bin" / "leuko"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", wheel)
        elsewhere = place / "elsewhere"  # so that nothing is imported from the repository
        elsewhere.mkdir()
        use(python, leuko, elsewhere)
    print("The wheel is complete and works in an environment of its own.")


def check_content(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    missing = [name for name in INSIDE if name not in names]
    wrong = [name for name in names for part in OUTSIDE if name.startswith(part) or name.endswith(part)]
    if missing or wrong:
        raise SystemExit(f"The wheel lacks {missing} and must not hold {wrong}.")
    templates = [str(file.relative_to(ROOT)) for file in (ROOT / "leuko").rglob("*.jinja")]
    if lost := [name for name in templates if name not in names]:
        raise SystemExit(f"The wheel lacks templates: {lost}.")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {len(names)} files")


def use(python: Path, leuko: Path, place: Path) -> None:
    print(run(leuko, "--version", cwd=place).splitlines()[0])
    (finding,) = map(json.loads, run(leuko, "classify", SMEAR, cwd=place).splitlines())
    (field,) = map(json.loads, run(leuko, "field", SMEAR, "--masks", "masks", cwd=place).splitlines())
    if finding["decision"] != "suspicious" or not field["counts"]["white_cells"] or not (place / "masks").is_dir():
        raise SystemExit(f"The installed commands answer {finding}, {field['counts']}.")
    run(python, "-m", "leuko", "classify", "--help", cwd=place)
    print(run(python, "-c", USE, SMEAR, *HEAVY, cwd=place).strip())
    needs = subprocess.run([leuko, "eda", "USER/NAME", "--output", "report"], cwd=place, capture_output=True, text=True)
    if needs.returncode != 1 or "leuko[train]" not in needs.stderr or "Traceback" in needs.stderr:
        raise SystemExit(f"A command that needs more packages must name them, and says: {needs.stderr}")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What a command prints; if it fails, this script ends with what it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command[:4]))} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
