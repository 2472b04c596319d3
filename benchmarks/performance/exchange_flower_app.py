"""The Flower app that benchmarks/performance/exchange_flower.py measures: rounds without training.

It runs in Flower's own environment and processes, never in Atoll's; it must import nothing of ours.
The server app takes its orders from the benchmark over a socket, so that rounds of Flower and of
Atoll can alternate. Whatever Flower leaves to an app is done in the cheapest way:

- the server neither decodes nor averages what it receives; it sends a model that it already has;
- each client decodes what it receives, as training would need, and returns that, altered;
- the server asks for replies every 0.5 s; Flower's own strategies ask every 3 s. To ask every 50 ms
  takes a tenth of a core (7 ms of CPU an ask) from those who move the models.
"""

# The packages of the peer are not installed where the types are checked.
# mypy: disable-error-code="import-not-found,untyped-decorator"

import json
import socket
import time
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

CLIENTS = 2
NODES_SECONDS = 0.05
"""How often it is asked whether the clients are there, before the first round."""
REPLIES_SECONDS = 0.5
FRESH_STRIDE = 65_536
"""One number in as many is altered: Flower moves no piece twice, and its pieces are 5 MiB."""

client = ClientApp()
server = ServerApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Return the model that came, a little altered."""
    reply = RecordDict()
    if "model" in message.content:
        step = context.node_id % 1000 + 1
        tensors = message.content["model"].to_numpy_ndarrays()
        reply["model"] = ArrayRecord([altered(tensor, step) for tensor in tensors])
    else:
        reply["nothing"] = ConfigRecord()
    return Message(content=reply, reply_to=message)


@server.main()
def serve(grid: Grid, context: Context) -> None:
    """Play the rounds that the benchmark asks for, until it closes the socket."""
    host, _, port = str(context.run_config["control"]).rpartition(":")
    while len(list(grid.get_node_ids())) < CLIENTS:
        time.sleep(NODES_SECONDS)
    models: dict[tuple[int, int], list[Any]] = {}
    with socket.create_connection((host, int(port))) as control, control.makefile("rw") as lines:
        lines.write("ready\n")
        lines.flush()
        for line in lines:
            size, count, eager = json.loads(line)
            if (size, count) not in models:
                models.clear()
                models[size, count] = model(size, count)
            seconds = play(grid, models[size, count], eager=eager)
            lines.write(json.dumps({"wall": seconds}) + "\n")
            lines.flush()


def play(grid: Grid, tensors: list[Any], *, eager: bool) -> float:
    """One round: a fresh model to both clients, and a fresh one back from each; seconds."""
    tensors = [altered(tensor, 1) for tensor in tensors]
    began = time.perf_counter()
    content = RecordDict()
    content["model" if tensors else "nothing"] = ArrayRecord(tensors) if tensors else ConfigRecord()
    messages = [Message(content, node, "train") for node in grid.get_node_ids()]
    replies = received(grid, messages) if eager else list(grid.send_and_receive(messages))
    wall = time.perf_counter() - began
    if len(replies) != CLIENTS:
        raise RuntimeError(f"{len(replies)} of {CLIENTS} clients have answered")
    for reply in replies:
        if reply.has_error():
            raise RuntimeError(f"a client failed: {reply.error}")
    size = sum(tensor.nbytes for tensor in tensors)
    for reply in replies if tensors else []:
        if sum(len(it.data) for it in reply.content["model"].values()) < size:
            raise RuntimeError("a client returned less than the model")
    return wall


def received(grid: Grid, messages: list[Message]) -> list[Message]:
    """What `send_and_receive` does, asking more often."""
    waiting, replies = set(grid.push_messages(messages)), list[Message]()
    while waiting:
        found = list(grid.pull_messages(waiting))
        replies += found
        waiting -= {it.metadata.reply_to_message_id for it in found}
        if waiting:
            time.sleep(REPLIES_SECONDS)
    return replies


def model(size_bytes: int, count: int) -> list[Any]:
    """`count` arrays of float32, all different, `size_bytes` together; none for no bytes."""
    if size_bytes == 0:
        return []
    values = np.random.default_rng(0).random(size_bytes // 4, dtype=np.float32)
    return np.array_split(values, count)


def altered(tensor: Any, step: int) -> Any:
    """The same array, one number of each 256 KiB changed in place."""
    tensor[::FRESH_STRIDE] += step
    return tensor
