"""Reads what a session of TensorFlow's profiler returns.

The message is TensorFlow's `Trace` (tsl/profiler/protobuf/trace_events.proto),
of which only threads, names and times are read. Names are read as bytes: the
names of some events are not UTF-8, and a field declared as text would refuse
the whole message for it.
"""

from __future__ import annotations

import functools
from typing import Any

_BYTES, _UINT32, _UINT64, _MESSAGE = 12, 13, 4, 11
_OPTIONAL, _REPEATED = 1, 3

_MESSAGES: dict[str, tuple[tuple[str, int, int, int, str], ...]] = {
    "Trace": (("events", 4, _MESSAGE, _REPEATED, "Event"),),
    "Event": (
        ("thread", 2, _UINT32, _OPTIONAL, ""),
        ("name", 3, _BYTES, _OPTIONAL, ""),
        ("start_ps", 9, _UINT64, _OPTIONAL, ""),
        ("duration_ps", 10, _UINT64, _OPTIONAL, ""),
        ("arguments", 11, _MESSAGE, _REPEATED, "Argument"),
    ),
    "Argument": (
        ("key", 1, _BYTES, _OPTIONAL, ""),
        ("value", 2, _BYTES, _OPTIONAL, ""),
    ),
}
"""Name, number, type, label and message type of the fields that are read."""


@functools.cache
def _trace_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="unslow/trace.proto", package="unslow.trace", syntax="proto2"
    )
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, number, kind, label, type_name in fields:
            field = message.field.add(name=name, number=number, type=kind, label=label)
            if type_name:
                field.type_name = f".unslow.trace.{type_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("unslow.trace.Trace"))


def parse(data: bytes) -> Any:
    """The trace in `data`: its `events` have `thread`, `name`, `start_ps`, `duration_ps`.

    Raises:
        ValueError: it is not one.
    """
    from google.protobuf.message import DecodeError

    trace = _trace_class()()
    try:
        trace.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(f"not a profile: {error}") from error
    return trace
