"""What the server of ``warm`` has imported when it forks: libraries alone, since modules of spikebench's are what is tested."""

import matplotlib.figure  # noqa: F401
import numba
import optuna  # noqa: F401
import pandas  # noqa: F401
import pydantic  # noqa: F401
import rich.progress  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.datasets  # noqa: F401
import spikingjelly.activation_based.neuron  # noqa: F401
import torch._dynamo  # noqa: F401
import typer  # noqa: F401

numba.njit(lambda x: x + 1.0)(1.0)  # the compiler sets itself up when it is first called
