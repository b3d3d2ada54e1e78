"""The command line as a whole: one module for each command, fast help, and the shims `train.py` and `app.py`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from leuko.cells.segmentation import DEFAULT_METHOD, METHODS
from leuko.cli import field, train
from leuko.cli.main import COMMANDS, main
from leuko.training.settings import Settings
from tests.conftest import ROOT

# Imports that take longer than an answer of --help may (0.3 s on an idle core).
SLOW = ("numpy", "cv2", "scipy", "gradio", "torch", "PIL", "onnxruntime", "pandas", "datasets")
NAMES = [command.__name__.rpartition(".")[2].replace("_", "-") for command in COMMANDS]


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_every_command_has_a_module_and_help(capsys):
    for name in NAMES:
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        assert end.value.code == 0 and f"usage: leuko {name}" in capsys.readouterr().out


def test_help_imports_nothing_slow():
    code = f"""
import sys, json
from leuko.cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
print()
print(json.dumps([name for name in {SLOW} if name in sys.modules]))
"""
    done = python("-c", code)
    assert json.loads(done.stdout.splitlines()[-1]) == [], done.stderr


def test_train_py_and_app_py_are_commands_of_leuko():
    for script, name in (("train.py", "train"), ("app.py", "serve")):
        assert python(script, "--help").stdout == python("-m", "leuko", name, "--help").stdout


def test_names_written_out_for_a_fast_help_are_the_real_ones():
    assert tuple(METHODS) == field.METHODS and field.DEFAULT_METHOD == DEFAULT_METHOD
    with pytest.raises(SystemExit):
        main(["train", "--dataset", "d"])  # --output is missing


def test_the_defaults_of_train_are_those_of_its_settings(monkeypatch):
    seen = []
    monkeypatch.setattr(train, "run", lambda arguments: seen.append(arguments) or 0)
    assert main(["train", "--dataset", "d", "--output", "o"]) == 0
    for name, value in vars(seen[0]).items():
        if (default := Settings.__dataclass_fields__.get(name)) and name not in ("dataset", "output"):
            assert (tuple(value) if isinstance(value, list) else value) == default.default, name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--dataset", "d", "--output", "o", "--no-clean", "--keep", "x"], "--no-clean"),
        (["tune", "d", "--output", "o", "--trials", "0"], "'0' is not a whole number above 0"),
        (["train", "--dataset", "d", "--output", "o", "--dropout", "1"], "'1' is not a number from 0 to below 1"),
        (["field", "a.png", "--method", "magic"], "invalid choice"),
    ],
)
def test_wrong_options_are_answered_with_the_usage(arguments, words, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    printed = capsys.readouterr().err
    assert end.value.code == 2 and words in printed and printed.startswith(f"usage: leuko {arguments[0]}")
