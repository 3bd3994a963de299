"""Evaluation on the nodes, interleaved with training."""

from collections.abc import Iterable

from flwr.app import Error, Message, MessageType

from ..core.state import Names, State, Stateful
from ..records import records_from_bytes, records_to_bytes


def evaluators(node_ids: Iterable[int], fraction: float, turn: int) -> list[int]:
    """Return a share of the nodes, at least one, and others at every turn; none of no share."""
    nodes = sorted(node_ids)
    if not nodes or not fraction:
        return []
    count = max(1, round(fraction * len(nodes)))
    return sorted(nodes[(turn * count + i) % len(nodes)] for i in range(count))


class EvaluationRounds(Stateful):
    """Evaluation messages on their way, by the model version they evaluate."""

    STATE: Names = ("_round_of", "_expires_at_s")

    def __init__(self) -> None:
        self._round_of: dict[str, int] = {}
        self._replies: dict[int, list[Message]] = {}
        self._expires_at_s: dict[int, float] = {}

    @property
    def message_ids(self) -> list[str]:
        """Ids of the unanswered messages."""
        return list(self._round_of)

    def add(self, version: int, message_ids: Iterable[str], expires_at_s: float) -> None:
        """Remember the messages that evaluate a version, and how long to wait for answers."""
        self._round_of.update(dict.fromkeys(message_ids, version))
        self._replies[version], self._expires_at_s[version] = [], expires_at_s

    def state(self) -> State:
        """Return the state."""
        replies = {v: [_pack(reply) for reply in some] for v, some in self._replies.items()}
        return super().state() | {"replies": replies}

    def restore(self, state: State) -> None:
        """Take over a state."""
        super().restore(state)
        self._replies = {v: [_unpack(*p) for p in some] for v, some in state["replies"].items()}

    def settle(self, reply: Message) -> tuple[int, list[Message]] | None:
        """File a reply; return its version and all replies once they are complete."""
        version = self._round_of.pop(reply.metadata.reply_to_message_id)
        self._replies[version].append(reply)
        if version in self._round_of.values():
            return None
        del self._expires_at_s[version]
        return version, self._replies.pop(version)

    def give_up(self, now_s: float) -> list[tuple[int, list[Message]]]:
        """Return what has come of the rounds that are overdue, and forget about the rest of it."""
        overdue = [version for version, end_s in self._expires_at_s.items() if end_s <= now_s]
        self._round_of = {i: v for i, v in self._round_of.items() if v not in overdue}
        for version in overdue:
            del self._expires_at_s[version]
        return [(version, self._replies.pop(version)) for version in overdue]

    def owns(self, reply: Message) -> bool:
        """Return whether a reply answers an evaluation message."""
        return reply.metadata.reply_to_message_id in self._round_of


def _pack(reply: Message) -> tuple[bytes, int, str]:
    """Return what evaluation needs of a reply: its content, or the code and reason of an error."""
    if reply.has_error():
        return b"", reply.error.code, reply.error.reason or ""
    return records_to_bytes(reply.content), 0, ""


def _unpack(content: bytes, code: int, reason: str) -> Message:
    reply = Message(records_from_bytes(content), 1, MessageType.EVALUATE)
    return Message(Error(code, reason), reply_to=reply) if reason or code else reply
