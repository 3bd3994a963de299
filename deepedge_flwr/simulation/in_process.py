"""A Flower grid that calls the ClientApp in this very process, at once."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import Array, Context, Error, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity


class InProcessGrid(Grid):
    """A grid of nodes 1..N without processes or sockets: for tests, debugging and sweeps.

    Semantics follow Flower's simulation engine: a node's `Context.state` lasts as long as the
    grid, an exception in the app becomes an error reply and discards the change of state.

    Parameters
    ----------
    client_app : ClientApp
        The app that every node runs.
    num_nodes : int
        Number of nodes; node i + 1 has partition id i.
    run_config : UserConfig | None (default: None)
        The run's configuration, as in a Flower app's `pyproject.toml`.
    node_configs : Mapping[int, UserConfig] | None (default: None)
        What else than its partition a node is configured with, by node id.
    """

    def __init__(
        self,
        client_app: ClientApp,
        num_nodes: int,
        *,
        run_config: UserConfig | None = None,
        node_configs: Mapping[int, UserConfig] | None = None,
    ) -> None:
        if num_nodes < 1:
            raise ValueError(f"num_nodes must be >= 1, got {num_nodes}")
        self._run_config, self._node_configs = run_config or {}, node_configs or {}
        # Flower builds messages only inside one of its tasks, and offers no public way to be one.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self._client_app = client_app
        self._num_nodes = num_nodes
        self._states = {i + 1: RecordDict() for i in range(num_nodes)}
        self._replies: dict[str, Message] = {}
        self._num_messages = 0

    def set_run(self, run: Run) -> None:
        """Ignore the run: there is only one."""

    @property
    def run(self) -> Run:
        """An empty run."""
        return Run.create_empty(run_id=1)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Create a message (deprecated in Flower: use its constructor)."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return 1..N."""
        return list(self._states)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Run the app on each message, and return the messages' ids."""
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return and forget the replies to these messages."""
        return [self._replies.pop(i) for i in list(message_ids) if i in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Run the app on each message and return the replies."""
        return self.pull_messages(self.push_messages(messages))

    def _push(self, message: Message) -> str:
        self._num_messages += 1
        message_id = f"in-process-{self._num_messages}"
        message.metadata.__dict__["_message_id"] = message_id
        self._replies[message_id] = self._call(message)
        return message_id

    def _call(self, message: Message) -> Message:
        node_id = message.metadata.dst_node_id
        if node_id not in self._states:
            return _error(message, ErrorCode.NODE_UNAVAILABLE, f"there is no node {node_id}")
        context = self._context(node_id)
        try:
            # A wire hands out copies too: what a client changes must stay its own.
            reply: Any = self._client_app(_own_message(message), context)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            return _error(message, ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)
        if not isinstance(reply, Message):
            reason = f"the ClientApp returned {type(reply).__name__}, it must return a Message"
            return _error(message, ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)
        self._states[node_id] = context.state
        return reply

    def _context(self, node_id: int) -> Context:
        # A copy: an app may change a record in place before it raises.
        state = _own_records(self._states[node_id])
        config: UserConfig = {"partition-id": node_id - 1, "num-partitions": self._num_nodes}
        config.update(self._node_configs.get(node_id, {}))
        run_config = dict(self._run_config)
        return Context(
            run_id=1, node_id=node_id, node_config=config, state=state, run_config=run_config
        )


def _own_message(message: Message) -> Message:
    """Return a copy; `copy.deepcopy` takes longer than a local step."""
    twin = copy.copy(message)
    twin.__dict__["_metadata"] = copy.copy(message.metadata)
    if message.has_content():
        twin.content = _own_records(message.content)
    return twin


def _own_records(content: RecordDict) -> RecordDict:
    """Return a copy that shares only what cannot change: numbers, text and bytes."""
    twin = content.copy()
    for name, record in content.items():
        own: Any = record.copy()
        for key, value in record.items():
            if isinstance(value, Array | list):
                own[key] = copy.copy(value)
        twin[name] = own
    return twin


def _error(message: Message, code: int, reason: str) -> Message:
    return Message(Error(code, reason), reply_to=message)
