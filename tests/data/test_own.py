"""The data set that the README shows, as a user would have it."""

import re
from pathlib import Path

import torch

from spikebench import data
from spikebench.core import suite_reader
from spikebench.core.suite import dataset_of

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_one_in_the_readme_is_ten_lines_and_works_in_a_suite(tmp_path: Path) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "class Colours" in block)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "colours.py").write_text(code)
    path = tmp_path / "suite.yaml"
    path.write_text("suite: own\ndataset: colours.py:Colours\nvariants: {base: spikformer-2-64}\n")
    suite = suite_reader.load(path)
    assert suite.inputs == data.InputSpec(3, 8, 3)
    splits = {name: dataset_of(suite.dataset).split(name) for name in data.SPLITS}
    seen = [{bytes(image) for image in split.tensors[0].numpy()} for split in splits.values()]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    x, y = next(data.batches(splits["test"], 50))
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    assert torch.bincount(y, minlength=3).min() > 5
