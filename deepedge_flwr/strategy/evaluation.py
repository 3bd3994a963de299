"""Evaluation on the nodes, interleaved with training."""

from collections.abc import Iterable

from flwr.app import Message


class EvaluationRounds:
    """Evaluation messages on their way, by the model version they evaluate."""

    def __init__(self) -> None:
        self._round_of: dict[str, int] = {}
        self._missing: dict[int, int] = {}
        self._replies: dict[int, list[Message]] = {}

    @property
    def message_ids(self) -> list[str]:
        """Ids of the unanswered messages."""
        return list(self._round_of)

    def add(self, version: int, message_ids: Iterable[str]) -> None:
        """Remember the messages that evaluate a version."""
        ids = list(message_ids)
        self._round_of.update(dict.fromkeys(ids, version))
        self._missing[version] = self._missing.get(version, 0) + len(ids)
        self._replies.setdefault(version, [])

    def settle(self, reply: Message) -> tuple[int, list[Message]] | None:
        """File a reply; return its version and all replies once they are complete."""
        version = self._round_of.pop(reply.metadata.reply_to_message_id)
        self._replies[version].append(reply)
        self._missing[version] -= 1
        if self._missing[version] > 0:
            return None
        del self._missing[version]
        return version, self._replies.pop(version)

    def owns(self, reply: Message) -> bool:
        """Return whether a reply answers an evaluation message."""
        return reply.metadata.reply_to_message_id in self._round_of
