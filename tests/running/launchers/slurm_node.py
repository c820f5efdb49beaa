"""A SLURM of one node, of Debian's packages, without systemd: munged, slurmctld and slurmd in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
CONF = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=20
SchedulerParameters=sched_interval=1,batch_sched_delay=1,requeue_delay=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=600 State=UP
"""


def why_not() -> str:
    """Why there is no SLURM to be had here; "" where there is."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        return f"no {', '.join(missing)} here (apt-get install slurmctld slurmd slurm-client munge)"
    return "" if os.getuid() == 0 else "slurmd runs as root alone"


class Node:
    """``environment``: what SLURM's commands must have in theirs. Raises RuntimeError if the node does not come up."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self.folder.chmod(0o755)  # munged lets everybody reach its socket
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(mode=0o700)
        (self.folder / "munge/key").write_bytes(os.urandom(1024))
        (self.folder / "munge/key").chmod(0o600)
        (self.folder / "slurm.conf").write_text(
            CONF.format(
                host=socket.gethostname().partition(".")[0], folder=self.folder, ports=_ports(), cores=os.cpu_count() or 1
            )
        )
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        files = (("key-file", "key"), ("log-file", "log"), ("seed-file", "seed"))
        munge = [f"--{option}={self.folder}/munge/{file}" for option, file in files]
        self._run("munged", f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munged.pid", *munge)
        self._run("slurmctld", "-c")
        self._run("slurmd")
        until = time.monotonic() + 60
        while "idle" not in self._said("sinfo", "--noheader", "--format=%t"):
            if time.monotonic() > until:
                self.close()
                raise RuntimeError("the node did not come up")
            time.sleep(0.2)

    def close(self) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self._said("scancel", "--user=root")
        for name in ("slurmd", "slurmctld", "munged"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((self.folder / f"{name}.pid").read_text()), signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, env={**os.environ, **self.environment}, capture_output=True, timeout=60)

    def _said(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout


def _ports() -> list[int]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], two.getsockname()[1]]
