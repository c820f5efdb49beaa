"""The process that speaks Ray for the driver: it starts workers on the cluster's nodes and passes on what each has to say.

Ray ends a process that loses its cluster, takes over its signals, and talks on its terminal. None of that may happen to a driver,
which is therefore another process. This one's output goes to a file, and it ends with the driver, however that ended; with it go
the workers.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from spikebench.core.errors import InputError
from spikebench.core.reasons import explain
from spikebench.running.launchers._ray_code import difference
from spikebench.running.launchers._ray_messages import (
    LEFT,
    Deserted,
    Give,
    Leave,
    Lost,
    Planned,
    Ready,
    Refused,
    Said,
    Send,
    Terms,
    Unusable,
)
from spikebench.running.launchers._ray_posts import Post, names_of, posts
from spikebench.running.launchers._ray_station import Station
from spikebench.running.launchers._worker import end_with_parent

LOOKS = 2.0
"""Seconds from one look at the cluster's nodes to the next."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A head that is restarted is another one: the process that knew the old one ends soon, and another one asks the new.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    # Of a cluster that is started here: its workers are as important as the driver's own would be, and end when it does.
    "RAY_worker_niceness": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
}
"""For Ray, where the user has not said otherwise."""
CONNECTING = 10.0
"""Seconds that an address may take to answer."""


def serve(connection: Connection, terms: Terms, output: Path) -> None:
    """The process's main function."""
    os.setpgid(0, 0)  # Ctrl-C is the driver's, and what Ray starts here hears none either
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(group=True)  # a cluster that is started here takes a minute to see that nobody needs it
    with output.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    bridge = Bridge(connection, terms)
    try:
        bridge.connect()
    except InputError as error:
        bridge.say(Unusable(str(error), gone=False))
        return
    except Exception as error:
        bridge.say(Unusable(f"no Ray cluster at {terms.address or 'this machine'}: {explain(error)}", gone=True))
        return
    try:
        bridge.listen()
    finally:
        bridge.close()


class Bridge:
    """A thread looks for nodes; each worker has one that hears it and one that tells it."""

    def __init__(self, connection: Connection, terms: Terms) -> None:
        self.connection, self.terms = connection, terms
        self._speaking = threading.Lock()
        self._orders: dict[int, queue.Queue[Any]] = {}
        self._manned: set[tuple[str, str]] = set()
        self._staying = 0
        self._counting = threading.Lock()
        self._seats = 0
        self._leaving = False

    def say(self, message: Any) -> None:
        with self._speaking:
            self.connection.send(message)

    def connect(self) -> None:
        """Raises InputError for a cluster without what the jobs need; whatever else there is where there is no cluster."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import ray

        terms = self.terms
        environment = {"working_dir": str(terms.code)}
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": environment}
        if terms.address is None:
            cpus = max(os.cpu_count() or 1, (terms.workers or 1) * terms.threads)
            memory = 256 << 20
            ray.init("local", include_dashboard=False, num_cpus=cpus, object_store_memory=memory, **quiet)
        else:
            _require_answer(terms.address)
            ray.init(terms.address, **quiet)
        found = posts(self._nodes(), terms)
        counts: dict[str, int] = {}
        for post in found:
            counts[post.where.node] = counts.get(post.where.node, 0) + 1
        self.say(Planned(counts))
        self._man(found)

    def listen(self) -> None:
        """Do as the driver says until it says no more."""
        threading.Thread(target=self._watch, daemon=True).start()
        while True:
            try:
                order = self.connection.recv()
            except EOFError:
                return
            if isinstance(order, Leave):
                self._leaving = True
                for orders in list(self._orders.values()):
                    orders.put(order)
            elif order is None:
                return
            elif order.seat in self._orders:
                self._orders[order.seat].put(order)

    def close(self) -> None:
        import ray

        ray.shutdown()

    # -- workers -------------------------------------------------------------------------------------------------------------

    def _nodes(self) -> dict[str, Mapping[str, Any]]:
        """Those that are there, by the name that tells them apart."""
        import ray

        return names_of([node for node in ray.nodes() if node["Alive"]])

    def _watch(self) -> None:
        """Nodes that come later get workers, too."""
        while not self._leaving:
            time.sleep(LOOKS)
            try:
                found = posts(self._nodes(), self.terms)
            except Exception:  # none is there, or the head is away: what is lost is told by those who lose it
                continue
            self._man([post for post in found if post.key not in self._manned])

    def _man(self, found: list[Post]) -> None:
        room = len(found) if self.terms.workers is None else self.terms.workers - self._staying
        for post in found[: max(0, room)]:
            self._manned.add(post.key)
            with self._counting:
                self._staying += 1
            threading.Thread(target=self._stay, args=(post,), daemon=True).start()

    def _stay(self, post: Post) -> None:
        """Keep a worker at a post as long as its node is there: Ray gives a node that comes back another id."""
        try:
            while not self._leaving and self._is_there(post) and self._serve(post):
                pass
        finally:
            with self._counting:
                self._staying -= 1
                deserted = not self._staying
            if deserted and not self._leaving:
                self.say(Deserted())

    def _is_there(self, post: Post) -> bool:
        try:
            return any(node["NodeID"] == post.node_id for node in self._nodes().values())
        except Exception:
            return False

    def _serve(self, post: Post) -> bool:
        """One worker, from its start to its end; whether another one may take its place."""
        import ray

        terms = self.terms
        with self._counting:
            self._seats += 1
            seat = self._seats
        try:
            actor = post.actor(Station).remote(terms, post.where)
            found = difference(ray.get(actor.hello.remote()), (terms.versions, terms.source))
        except Exception as error:
            if self._is_there(post):
                self.say(Refused(post.where, f"no worker can be started: {explain(error)}"))
            return False
        if found:
            ray.kill(actor)
            self.say(Refused(post.where, f"it has {found}"))
            return False
        self._orders[seat] = queue.Queue()
        threading.Thread(target=self._order, args=(seat, actor), daemon=True).start()
        self.say(Ready(seat, post.where))
        try:
            while True:
                for message in ray.get(actor.words.remote()):
                    self.say(Said(seat, message))
                    if message == LEFT:
                        return False
        except ray.exceptions.RayError as error:
            self.say(Lost(seat, _why(error)))
            return True
        finally:
            self._orders.pop(seat).put(None)

    def _order(self, seat: int, actor: Any) -> None:
        """In the order in which it was ordered: a chain's files are there before it begins."""
        import ray

        orders = self._orders[seat]
        while (order := orders.get()) is not None:
            try:
                if isinstance(order, Send):
                    ray.get(actor.take.remote(order.piece))
                elif isinstance(order, Give):
                    ray.get(actor.begin.remote(order.chain, order.deaths))
                else:
                    ray.get(actor.leave.remote())
            except ray.exceptions.RayTaskError as error:
                self.say(Lost(seat, f"{type(error.cause).__name__}: {error.cause}"))
                ray.kill(actor)
                return
            except ray.exceptions.RayError:
                return  # who hears the worker says that it is gone


def _why(error: Exception) -> str:
    """Ray's reason, without the paragraphs that follow it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:1]) or type(error).__name__


def _require_answer(address: str) -> None:
    """Raises OSError soon where nobody listens: Ray itself waits for a long time."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), CONNECTING).close()
