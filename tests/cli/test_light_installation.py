"""Commands in the light installation: what needs PyTorch says so in one sentence."""

from __future__ import annotations

import pytest

from tests.no_pytorch import run_without_pytorch

COMMAND = "from leuko.cli.main import main; sys.exit(main(sys.argv[1:]))"
NEED_MORE = {
    "eda": ["eda", "DATA", "--output", "OUT"],
    "train": ["train", "--dataset", "DATA", "--output", "OUT"],
    "train-segmenter": ["train-segmenter", "DATA", "--output", "OUT"],
    "train-kinds": ["train-kinds", "DATA", "--output", "OUT"],
    "tune": ["tune", "DATA", "--output", "OUT"],
    "compare": ["compare", "DATA", "--output", "OUT"],
    "ablate": ["ablate", "DATA", "--output", "OUT"],
}


@pytest.mark.parametrize("arguments", NEED_MORE.values(), ids=NEED_MORE)
def test_a_command_that_needs_more_packages_names_the_command_that_adds_them(arguments, drawn, tmp_path):
    stands_for = {"DATA": str(drawn), "OUT": str(tmp_path / "out")}
    done = run_without_pytorch(COMMAND, *(stands_for.get(word, word) for word in arguments))
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1 and 'pip install "leuko[train]"' in done.stderr
    assert not (tmp_path / "out").exists()
