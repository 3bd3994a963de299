"""What a run is made of, as a tree of plain values, and that tree as bytes and back.

The bytes are JSON and raw arrays: nothing in them is ever executed. Every number comes back with
all its bits, every dictionary in its order.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from .types import DeviceProfile, Dispatch, TrainPlan

#: A tree of None, bool, int, float, str, bytes, arrays, lists, tuples, sets, dicts and storables.
State = dict[str, Any]
#: Names of attributes.
Names = tuple[str, ...]
Class = TypeVar("Class", bound=type)

_MAGIC = b"deepedge_flwr checkpoint 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size
_LENGTH_BYTES = 8
_PIECE_BYTES = 1 << 20  # still in the processor's cache when it is written after its digest
_storable: dict[str, type] = {c.__name__: c for c in (DeviceProfile, Dispatch, TrainPlan)}


class Damaged(ValueError):
    """Bytes that are not what was written."""


def storable(cls: Class) -> Class:
    """Let the dataclass be part of a state; its name must be its own."""
    _storable[cls.__name__] = cls
    return cls


class Stateful:
    """An object whose work can be interrupted and taken up again by a new one.

    A subclass names in `STATE` the attributes that hold what it has learned; those that are
    `Stateful` themselves are gone into. What the constructor was given is not part of it.
    """

    STATE: Names = ()

    def state(self) -> State:
        """Return the state; it shares arrays and containers with this object: pack it at once."""
        values = {name: getattr(self, name) for name in self._names()}
        return {n: v.state() if isinstance(v, Stateful) else v for n, v in values.items()}

    def restore(self, state: State) -> None:
        """Take over a state.

        Raises
        ------
        KeyError
            If it lacks an attribute.
        """
        for name in self._names():
            current = getattr(self, name)
            if isinstance(current, Stateful):
                current.restore(state[name])
            else:
                setattr(self, name, state[name])

    def _names(self) -> Iterator[str]:
        for cls in reversed(type(self).__mro__):
            yield from vars(cls).get("STATE", ())


@dataclass(frozen=True, slots=True)
class Packed:
    """A state ready to be written.

    Attributes
    ----------
    parts : tuple of bytes-like
        What to write, one after the other; arrays are views, not copies.
    """

    parts: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        """Yield the parts in pieces, and their digest at the end."""
        digest = hashlib.sha256()
        for part in (memoryview(part) for part in self.parts):
            for start in range(0, len(part), _PIECE_BYTES):
                piece = part[start : start + _PIECE_BYTES]
                digest.update(piece)
                yield piece
        yield digest.digest()


def pack(state: State) -> Packed:
    """Return a state as bytes. Arrays in it must not be changed before these are written.

    Raises
    ------
    TypeError
        If a value in it cannot be stored.
    """
    packer = _Packer()
    header = json.dumps({"tree": packer.encode(state), "blobs": packer.described}).encode()
    length = len(header).to_bytes(_LENGTH_BYTES, "little")
    return Packed((_MAGIC, length, header, *packer.blobs))


def unpack(data: bytes) -> State:
    """Return the state that bytes hold; its arrays are copies, and writable.

    An object whose class has not been imported comes back as a dictionary of its fields.

    Raises
    ------
    Damaged
        If the bytes were truncated or changed, or are of another format.
    """
    body = memoryview(data)[:-_DIGEST_BYTES]
    if not data.startswith(_MAGIC):
        raise Damaged(f"it does not begin with {_MAGIC!r}")
    if hashlib.sha256(body).digest() != data[-_DIGEST_BYTES:]:
        raise Damaged("its checksum is wrong")
    start = len(_MAGIC) + _LENGTH_BYTES
    end = start + int.from_bytes(body[len(_MAGIC) : start], "little")
    header = json.loads(bytes(body[start:end]))
    blobs: list[Any] = []
    for dtype, shape, num_bytes in header["blobs"]:
        raw = bytes(body[end : end + num_bytes])
        end += num_bytes
        if dtype is None:
            blobs.append(raw)
        else:
            blobs.append(np.frombuffer(raw, np.dtype(dtype)).reshape(shape).copy())
    state: State = _decode(header["tree"], blobs)
    return state


class _Packer:
    """Turns values into JSON; arrays and bytes are set apart, each object once."""

    def __init__(self) -> None:
        self.blobs: list[Any] = []
        self.described: list[tuple[str | None, tuple[int, ...], int]] = []
        self._index_of: dict[int, int] = {}

    def encode(self, value: Any) -> Any:
        """Return a value as JSON has it, with numbers for arrays and bytes, which are set apart."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray | bytes):
            return {"$blob": self._blob(value)}
        if isinstance(value, list):
            return [self.encode(v) for v in value]
        if isinstance(value, dict):
            name = "$counter" if isinstance(value, Counter) else "$dict"
            if name == "$dict" and all(type(k) is str and k[:1] != "$" for k in value):
                return {k: self.encode(v) for k, v in value.items()}
            return {name: [[self.encode(k), self.encode(v)] for k, v in value.items()]}
        if isinstance(value, tuple):
            return {"$tuple": [self.encode(v) for v in value]}
        if isinstance(value, set | frozenset):
            return {"$set": [self.encode(v) for v in sorted(value)]}
        if (name := type(value).__name__) in _storable:
            stored = {f.name: self.encode(getattr(value, f.name)) for f in fields(value)}
            return {"$object": [name, stored]}
        raise TypeError(f"a state cannot hold a {type(value).__name__}: {value!r}")

    def _blob(self, value: Any) -> int:
        if isinstance(value, np.ndarray) and value.dtype.kind in "OV":  # their bytes do not say all
            raise TypeError(f"a state cannot hold an array of dtype {value.dtype}")
        if id(value) not in self._index_of:
            self._index_of[id(value)] = len(self.blobs)
            if isinstance(value, bytes):
                self.blobs.append(value)
                self.described.append((None, (), len(value)))
            else:
                self.blobs.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
                self.described.append((value.dtype.str, value.shape, value.nbytes))
        return self._index_of[id(value)]


def _decode(value: Any, blobs: list[Any]) -> Any:
    if isinstance(value, list):
        return [_decode(v, blobs) for v in value]
    if not isinstance(value, dict):
        return value
    kind = next(iter(value), "")
    content: Any = value.get(kind)
    if kind == "$blob":
        return blobs[content]
    if kind in ("$dict", "$counter"):
        pairs = {_decode(k, blobs): _decode(v, blobs) for k, v in content}
        return pairs if kind == "$dict" else Counter(pairs)
    if kind == "$tuple":
        return tuple(_decode(v, blobs) for v in content)
    if kind == "$set":
        return {_decode(v, blobs) for v in content}
    if kind == "$object":
        name, stored = content
        # Who only looks at a checkpoint need not have imported every class that is in it.
        return _storable.get(name, dict)(**{f: _decode(v, blobs) for f, v in stored.items()})
    return {k: _decode(v, blobs) for k, v in value.items()}
