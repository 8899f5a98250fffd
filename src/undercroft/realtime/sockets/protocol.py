"""The two forms of a Phoenix message: JSON objects (vsn 1.0.0), and arrays or binary (2.0.0).

A message to many is encoded once for each form, whoever gets it.
"""

import struct
from typing import Any, Final, Literal

import orjson

Version = Literal["1.0.0", "2.0.0"]
AsgiMessage = dict[str, Any]

# In bytes; binary messages count them in one.
LONGEST_TOPIC = 255
LONGEST_EVENT = 255
LONGEST_REF = 64
_PUSH, _BROADCAST = 3, 4
_BINARY, _JSON = 0, 1
_PUSH_HEAD = struct.Struct(">7B")


class Malformed(ValueError):  # noqa: N818 - says what the message is
    """A message that is none of the protocol."""


class Incoming:
    """A message of a client. A broadcast in binary has its payload, as bytes, in `binary`."""

    __slots__ = ("binary", "event", "join_ref", "payload", "ref", "topic")

    def __init__(
        self,
        topic: Any,
        event: Any,
        payload: Any,
        ref: Any,
        join_ref: Any,
        binary: bytes | None = None,
    ) -> None:
        if not (isinstance(topic, str) and isinstance(event, str)):
            raise Malformed("topic and event must be text")
        sizes = len(topic.encode()), len(event.encode())
        if not (0 < sizes[0] <= LONGEST_TOPIC and 0 < sizes[1] <= LONGEST_EVENT):
            raise Malformed("topic or event is too long")
        self.topic: Final = topic
        self.event: Final = event
        self.payload: Final[dict[str, Any]] = payload if isinstance(payload, dict) else {}
        self.ref: Final = _ref(ref)
        self.join_ref: Final = _ref(join_ref)
        self.binary: Final = binary


def read_text(text: str, version: Version) -> Incoming:
    """Raises `Malformed`."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed("not JSON") from error
    if version == "2.0.0":
        if not isinstance(content, list) or len(content) != 5:
            raise Malformed("not an array of five")
        join_ref, ref, topic, event, payload = content
        return Incoming(topic, event, payload, ref, join_ref)
    if not isinstance(content, dict):
        raise Malformed("not an object")
    read = content.get
    return Incoming(read("topic"), read("event"), read("payload"), read("ref"), read("join_ref"))


def read_binary(data: bytes) -> Incoming:
    """A broadcast with its head in binary. Raises `Malformed`."""
    try:
        kind, *lengths, encoding = _PUSH_HEAD.unpack_from(data)
        at = _PUSH_HEAD.size
        parts: list[str] = []
        for length in lengths:
            parts.append(data[at : at + length].decode())
            at += length
    except (struct.error, ValueError) as error:
        raise Malformed("not a binary broadcast") from error
    if kind != _PUSH or at > len(data) or encoding not in {_BINARY, _JSON}:
        raise Malformed("not a binary broadcast")
    join_ref, ref, topic, event, metadata = parts
    body = data[at:]
    content: dict[str, Any] = {**_metadata(metadata), "type": "broadcast", "event": event}
    if encoding == _BINARY:
        return Incoming(topic, "broadcast", content, ref, join_ref, binary=body)
    try:
        content["payload"] = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed("not JSON") from error
    return Incoming(topic, "broadcast", content, ref, join_ref)


class Outgoing:
    """A message to any number of sockets."""

    __slots__ = ("_array", "_object", "event", "payload", "topic")

    def __init__(self, topic: str, event: str, payload: bytes) -> None:
        self.topic = topic
        self.event = event
        self.payload = payload
        self._object: AsgiMessage | None = None
        self._array: AsgiMessage | None = None

    def encoded(self, version: Version) -> AsgiMessage | None:
        """What to send; None where this version has no form for it."""
        if version == "2.0.0":
            if self._array is None:
                self._array = _text(_array(None, None, self.topic, self.event, self.payload))
            return self._array
        if self._object is None:
            self._object = _text(_object(None, self.topic, self.event, self.payload))
        return self._object


class OutgoingBinary(Outgoing):
    """A broadcast of bytes, which only version 2.0.0 can carry."""

    __slots__ = ("_frame",)

    def __init__(self, topic: str, event: str, payload: bytes) -> None:
        super().__init__(topic, event, payload)
        name, title = topic.encode(), event.encode()
        head = bytes((_BROADCAST, len(name), len(title), 0, _BINARY))
        self._frame: AsgiMessage = {
            "type": "websocket.send",
            "bytes": b"".join((head, name, title, payload)),
        }

    def encoded(self, version: Version) -> AsgiMessage | None:
        return self._frame if version == "2.0.0" else None


def reply(
    version: Version, to: Incoming, status: Literal["ok", "error"], response: Any
) -> AsgiMessage:
    payload = orjson.dumps({"status": status, "response": response})
    if version == "2.0.0":
        return _text(_array(to.join_ref, to.ref, to.topic, "phx_reply", payload))
    return _text(_object(to.ref, to.topic, "phx_reply", payload))


def channel_message(
    version: Version, join_ref: str | None, topic: str, event: str, payload: Any
) -> AsgiMessage:
    """A message about one joining of a channel: its error, its end."""
    encoded = orjson.dumps(payload)
    if version == "2.0.0":
        return _text(_array(join_ref, join_ref, topic, event, encoded))
    return _text(_object(join_ref, topic, event, encoded))


def framed(message: AsgiMessage) -> bytes:
    """A message as a server sends it (RFC 6455, section 5.2), made once for all its readers."""
    frame: bytes | None = message.get("frame")
    if frame is None:
        text = message.get("text")
        content = message["bytes"] if text is None else text.encode()
        frame = message["frame"] = _frame_head(len(content), text=text is not None) + content
    return frame


def _metadata(text: str) -> dict[str, Any]:
    """What stands beside the payload: how long to keep it (`persist`)."""
    try:
        content = orjson.loads(text or "{}")
    except orjson.JSONDecodeError as error:
        raise Malformed("not JSON") from error
    return content if isinstance(content, dict) else {}


def _frame_head(length: int, *, text: bool) -> bytes:
    kind = b"\x81" if text else b"\x82"
    if length < 126:
        return kind + length.to_bytes()
    if length < 1 << 16:
        return kind + b"\x7e" + length.to_bytes(2)
    return kind + b"\x7f" + length.to_bytes(8)


def _text(content: bytes) -> AsgiMessage:
    return {"type": "websocket.send", "text": content.decode()}


def _array(join_ref: str | None, ref: str | None, topic: str, event: str, payload: bytes) -> bytes:
    return orjson.dumps([join_ref, ref, topic, event, orjson.Fragment(payload)])


def _object(ref: str | None, topic: str, event: str, payload: bytes) -> bytes:
    return orjson.dumps(
        {"topic": topic, "event": event, "payload": orjson.Fragment(payload), "ref": ref}
    )


def _ref(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, int):
        value = str(value)
    if not isinstance(value, str) or len(value) > LONGEST_REF:
        raise Malformed("ref must be short text")
    return value
