"""What was asked of a simulated grid, call by call: enough to bring another one to the same state.

A run in virtual time is a function of the calls made on its grid. So a grid is saved as the list
of them, and restored by making them again. No client trains twice for that: of a message whose
reply has been taken, only the sizes matter.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from flwr.app import Error, Message, RecordDict

from ..core.state import State
from ..records import records_from_bytes, records_to_bytes
from .clock import VirtualClock
from .ledger import RunLedger
from .outline import Outline, filled, outline

if TYPE_CHECKING:
    from .grid import VirtualGrid

Answer = RecordDict | Error


@dataclass(slots=True)
class _Sent:
    """A message, and what the inner grid has made of it."""

    content: RecordDict | Outline
    answer: Answer | Outline | None = None
    is_taken: bool = False


class History:
    """The calls on a grid since `start`, and the contents that are still needed."""

    def __init__(self) -> None:
        self._is_recording, self._has_sent = False, False
        self._calls: list[list[Any]] = []
        self._sent: dict[str, _Sent] = {}
        self._known: dict[str, Answer] = {}

    def start(self) -> None:
        """Begin to record."""
        self._is_recording = True

    @property
    def is_empty(self) -> bool:
        """Whether no message has been sent."""
        return not self._has_sent

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Record that the nodes were asked for; the time that passes with it is part of that."""
        recording, self._is_recording = self._is_recording, False
        try:
            yield
        finally:
            self._is_recording = recording
        self._add("ask")

    def waited(self, timeout_s: float) -> None:
        """Record a wait."""
        self._add("wait", timeout_s)

    def pushed(self, messages: Iterable[Message]) -> None:
        """Record messages in the order in which they were given; those without an id are lost."""
        self._has_sent = True
        if self._is_recording:
            entries = []
            for message in messages:
                metadata = message.metadata
                self._sent[metadata.message_id] = _Sent(message.content)
                entries.append((metadata.message_id, metadata.dst_node_id, metadata.message_type))
            self._add("push", entries)

    def pulled(self, time_s: float, replies: Iterable[Message]) -> None:
        """Record replies that were taken; an empty handed call changes nothing."""
        taken = [reply.metadata.reply_to_message_id for reply in replies]
        if self._is_recording and taken:
            self._add("pull", time_s, taken)
            for message_id in taken:
                if message_id in self._sent:
                    self._sent[message_id].is_taken = True
                    self._shrink(message_id)

    def answered(self, message_id: str, answer: Answer) -> None:
        """Record what the inner grid has made of a message."""
        if self._is_recording and message_id in self._sent:
            self._sent[message_id].answer = answer
            self._shrink(message_id)

    def answer_to(self, message_id: str) -> Answer | None:
        """Return what the inner grid had made of a message when the history was saved."""
        return self._known.get(message_id)

    def noted(self, kind: str, node_id: int) -> None:
        """Record what the server said about a node."""
        self._add("note", kind, node_id)

    def _add(self, *call: Any) -> None:
        if self._is_recording:
            self._calls.append(list(call))

    def _shrink(self, message_id: str) -> None:
        """Keep only the sizes of what nobody will look at again."""
        sent = self._sent[message_id]
        if isinstance(sent.content, RecordDict):
            sent.content = outline(sent.content)
        if sent.is_taken and isinstance(sent.answer, RecordDict):
            sent.answer = outline(sent.answer)

    # Saving and restoring -----------------------------------------------------------------

    def state(self) -> State:
        """Return the history."""
        pack = _Memo()
        sent = {i: (pack(s.content), pack(s.answer)) for i, s in self._sent.items()}
        return {"calls": self._calls, "sent": sent}

    def replay(self, state: State, grid: "VirtualGrid") -> None:
        """Make the calls of a saved history on a grid that has seen nothing but its beginning.

        Raises
        ------
        ValueError
            If the grid answers otherwise than the one that the history is of.
        """
        memo = _Memo()

        def unpack(value: Any) -> Any:
            """Return what was packed; models of an outline are zeros."""
            return filled(value) if isinstance(value, list) else memo(value)

        sent = {i: (unpack(c), unpack(a)) for i, (c, a) in state["sent"].items()}
        self._known = {i: answer for i, (_, answer) in sent.items() if answer is not None}
        for name, *arguments in state["calls"]:
            if name == "ask":
                grid.get_node_ids()
            elif name == "wait":
                grid.clock.wait(*arguments)
            elif name == "note":
                grid.note(*arguments)
            elif name == "pull":
                _pull(grid, *arguments)
            else:
                (entries,) = arguments
                grid.push_messages([Message(sent[i][0], to, kind) for i, to, kind in entries])
        self._known = {}


class Recorded:
    """A grid in virtual time that can be brought back to any moment of its run.

    Parameters
    ----------
    clock : VirtualClock
        The grid's time.
    ledger : RunLedger
        What happened on it.
    """

    def __init__(self, clock: VirtualClock, ledger: RunLedger) -> None:
        self.clock, self.ledger, self._history = clock, ledger, History()
        clock.on_wait = self._history.waited

    def note(self, kind: str, node_id: int) -> None:
        """Write into the ledger what the server has noticed about a node."""
        self._history.noted(kind, node_id)
        self.ledger.add(self.clock.now_s(), f"server-{kind}", node_id=node_id)

    def start_recording(self) -> None:
        """Begin to record what it takes to come back to any later moment; see `state`."""
        self._history.start()

    def state(self) -> State:
        """Return everything that has happened since `start_recording`, and the replies under way.

        Its size grows with the number of messages.
        """
        return self._history.state()

    def restore(self, state: State) -> bool:
        """Bring this grid to the moment of a state; return False if it has seen messages before.

        Clients whose reply was not there yet train again: their `Context.state` begins anew.

        Raises
        ------
        ValueError
            If this grid is of another fleet, or has other faults.
        """
        if not self._history.is_empty:
            return False
        self._history.replay(state, cast("VirtualGrid", self))
        return True


def _pull(grid: "VirtualGrid", time_s: float, message_ids: list[str]) -> None:
    """Take the replies that were taken then; a grid that has others is another one."""
    now_s = grid.clock.now_s()
    replies = [r.metadata.reply_to_message_id for r in grid.pull_messages(message_ids)]
    if (now_s, replies) != (time_s, message_ids):
        raise ValueError(
            f"the checkpoint is of a run on another fleet: it took the replies to {message_ids} at "
            f"{time_s} s, this fleet has those to {replies} at {now_s} s: give the devices, faults "
            "and seed of that run, or another checkpoint_dir"
        )


class _Memo:
    """Contents to bytes and back; the models that messages share are handled once."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any) -> Any:
        if value is None or isinstance(value, list):
            return value
        if isinstance(value, Error):
            return {"code": value.code, "reason": value.reason}
        if isinstance(value, RecordDict):
            return {"records": [(n, self._convert(r)) for n, r in value.items()]}
        if "code" in value:
            return Error(value["code"], value["reason"])
        return RecordDict({name: self._convert(data) for name, data in value["records"]})

    def _convert(self, value: Any) -> Any:
        if id(value) not in self._done:
            if isinstance(value, bytes):
                done: Any = records_from_bytes(value)[""]
            else:
                done = records_to_bytes(RecordDict({"": value}))
            self._done[id(value)] = value, done  # the value too: its id must not be used again
        return self._done[id(value)][1]
