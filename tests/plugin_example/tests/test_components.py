"""Three lines a component: the contracts are spikebench's."""

from spikebench.testing import AttentionContract, DatasetContract, HarnessContract


class TestMeanValue(AttentionContract):
    name = "mean_value"


class TestStripes(DatasetContract):
    name = "stripes"


class TestSparsity(HarnessContract):
    name = "sparsity"
