"""ONNX, the whole inference network with its time steps unrolled: plain operators, so any runtime can run it."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

from spikebench.core.errors import InputError, storage_errors
from spikebench.running.exports._source import Source, needs

OPSET = 17


class Export:
    """``model.onnx``: ``images`` (1, C, H, W) to ``logits`` (1, classes), one image a call, T as trained, weights inside.

    Every LIF is written out step by step in additions, multiplications and comparisons. Raises InputError for neurons that are no
    plain LIF, and where the exporter cannot say the network.
    """

    def write(self, source: Source, folder: Path) -> list[Path]:
        import torch

        from spikebench.running.exports._unrolled import unroll

        needs("onnx", "onnx")
        model, path = unroll(copy.deepcopy(source.model)), folder / "model.onnx"
        x = source.images(1)
        if x.dim() == 5:
            raise InputError("ONNX takes images here; this data set has sequences")
        with storage_errors(folder), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of tracing: shapes are fixed on purpose
            try:
                torch.onnx.export(
                    model, (x,), str(path), input_names=["images"], output_names=["logits"], opset_version=OPSET,
                    dynamo=False,
                )  # fmt: skip
            except torch.onnx.errors.OnnxExporterError as error:
                raise InputError(f"torch cannot say this network in ONNX: {str(error).splitlines()[0]}") from error
        return [path]
