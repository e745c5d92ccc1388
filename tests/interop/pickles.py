# -*- coding: utf-8 -*-
"""What Python makes of pickles, for Python 2.7 and 3.

    pickles.py make    prints a line of JSON for each pickle of each value, by each pickler and protocol there is
    pickles.py record  the same without the long ones
    pickles.py read    reads pickles, one a line in base64, and prints for each what Python reads in it, described in JSON

tests/fixtures/pickles.jsonl is what `record` printed under Python 2.7 and 3.13, one behind the other.
"""
from __future__ import print_function, unicode_literals

import base64
import collections
import datetime
import io
import json
import pickle
import resource
import struct
import sys

PYTHON3 = sys.version_info[0] == 3
if PYTHON3:
    long, unicode = int, str
else:
    import cPickle


def describe(value, seen=()):
    """A value as JSON that tells its type."""
    if any(value is each for each in seen):
        return ["again"]
    inside = seen + (value,)
    each = lambda values: [describe(item, inside) for item in values]
    kind = type(value)
    if value is None:
        return ["none"]
    if kind is bool:
        return ["bool", value]
    if kind is int or kind is long:
        return ["int" if kind is int else "long", str(value)]
    if kind is float:
        return ["float", "".join("%02x" % byte for byte in bytearray(struct.pack(str(">d"), value)))]
    if kind is unicode:
        return ["text", value]
    if kind is bytes or kind is bytearray:
        return [("bytes" if PYTHON3 else "str") if kind is bytes else "bytearray", "".join("%02x" % byte for byte in bytearray(value))]
    if kind is list or kind is tuple:
        return [kind.__name__, each(value)]
    if kind is set or kind is frozenset:
        return [kind.__name__, sorted(each(value), key=json.dumps)]
    if kind is dict or kind is collections.OrderedDict:
        return [kind.__name__, [[describe(key, inside), describe(value[key], inside)] for key in value]]
    if kind is datetime.datetime or kind is datetime.time:
        offset = value.utcoffset()
        return [
            kind.__name__,
            value.replace(tzinfo=None).isoformat(),
            None if offset is None else offset.days * 86400 + offset.seconds,
            getattr(value, "fold", 0),
        ]
    if kind is datetime.date:
        return ["date", value.isoformat()]
    if kind is datetime.timedelta:
        return ["timedelta", [value.days, value.seconds, value.microseconds]]
    raise TypeError(repr(value))


def numbers():
    for power in (8, 16, 31, 53, 63, 70, 2040):
        for offset in (-1, 0):
            yield 2 ** power + offset
            yield -(2 ** power) + offset
    for value in (0, 1, -1, 10, -128):
        yield value
        yield long(value)
    for text in ("0.0", "-0.0", "1.5", "-1.5", "1e300", "5e-324", "0.1", "1e22", "123456789.125", "inf", "-inf", "nan"):
        yield float(text)


def texts():
    yield ""
    yield "plain"
    yield "\u00e9 \u20ac \U0001f600"
    yield "back\\slash \\u0041 'quotes\" \n\r\t\0\x1a\x7f\x80\xff\u2028\ufeff\ufffd"
    yield "x" * 255
    yield "x" * 256
    yield "\u20ac" * 100
    yield b""
    yield b"plain"
    yield b"'\"\\\n\r\t\0\x7f"
    yield bytes(bytearray(range(256)))
    yield b"\xff" * 256
    yield "\u00e9".encode("utf-8")
    yield bytearray()
    yield bytearray(b"abc\xff\0")


def containers():
    yield []
    yield [1, [2, [3, ["four"]]]]
    for length in range(5):
        yield tuple(range(length))
    yield {}
    yield {"a": 1}
    yield {"b": {"c": [None, True, False]}, "a": "b"}
    yield {"__proto__": {"polluted": True}, "constructor": 1, "": 2}
    yield {1: "one", "two": 2, None: 0, 2.5: [], (1, 2): {}}
    yield {2 ** 60: 1, -5: 2}
    yield set()
    yield {1, 2, 3}
    yield {"a", "b", None, 1.5, (1, "x")}
    yield frozenset()
    yield frozenset([1, 2])
    yield {frozenset([1]): {frozenset([2])}}
    yield [{"id": each, "name": "row", "tags": ("a", "b")} for each in range(5)]
    yield {b"key": b"value", b"\xff": b"\xfe"}
    yield collections.OrderedDict()
    yield collections.OrderedDict([("b", 1), ("a", {"c": 2}), ("1", None)])
    yield collections.OrderedDict([(2, "two"), (1, "one")])


def times():
    yield datetime.datetime(2024, 2, 29, 23, 59, 58)
    yield datetime.datetime(2024, 2, 29, 23, 59, 58, 123000)
    yield datetime.datetime(2024, 2, 29, 23, 59, 58, 123456)
    yield datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)
    yield datetime.datetime.min
    yield datetime.datetime.max
    yield datetime.date(2024, 2, 29)
    yield datetime.date(1900, 2, 28)
    yield datetime.date.max
    yield datetime.time(0, 0)
    yield datetime.time(23, 59, 59, 999999)
    yield datetime.timedelta(0)
    yield datetime.timedelta(-1, 86399, 999999)
    yield datetime.timedelta.max
    yield {"at": datetime.datetime(2001, 2, 3), "days": {datetime.date(2001, 2, 3)}}
    if PYTHON3:
        utc = datetime.timezone.utc
        yield datetime.datetime(2024, 2, 29, 23, 59, 58, 123456, utc)
        yield datetime.datetime(2024, 2, 29, 23, 59, 58, tzinfo=datetime.timezone(datetime.timedelta(hours=-5, minutes=-30)))
        yield datetime.time(12, 30, tzinfo=utc)
        yield datetime.datetime(2024, 10, 27, 2, 30, fold=1)
        yield datetime.time(2, 30, fold=1)


def circles():
    shared = ["shared"]
    yield [shared, shared, {"again": shared}]
    circle = []
    circle.append({"self": circle})
    yield circle
    inner = []
    inner.append((inner,))
    yield inner[0]


def long_ones():
    yield list(range(1001))  # picklers write a thousand items at a time
    yield dict.fromkeys(range(1001))
    yield set(range(1001))
    yield "\u20ac" * 25000
    yield b"\xff" * 66000


def constants():
    return None, True, False


RECORDED = (constants, numbers, texts, containers, times, circles)


def picklers():
    """Functions from value and protocol to bytes, by name."""
    if not PYTHON3:
        return [("pickle", pickle.dumps), ("cPickle", cPickle.dumps)]

    def pure(value, protocol):
        stream = io.BytesIO()
        pickle._Pickler(stream, protocol).dump(value)
        return stream.getvalue()

    return [("pickle", pickle.dumps), ("_Pickler", pure)]


def make(groups):
    done = set()
    for value in (value for group in groups for value in group()):
        for name, dumps in picklers():
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                pickled = dumps(value, protocol)
                if pickled in done:
                    continue
                done.add(pickled)
                described = describe(value)
                if PYTHON3 and protocol < 4 and "fold" in repr(value):
                    described = describe(pickle.loads(pickled))  # protocols before 4 have no fold
                line = {
                    "by": "%s of %d.%d" % ((name,) + tuple(sys.version_info[:2])),
                    "protocol": protocol,
                    "value": described,
                    "pickle": base64.b64encode(pickled).decode("ascii"),
                }
                print(json.dumps(line, sort_keys=True))


class Careful(pickle.Unpickler):
    """What is read may be anything: it must not run anything."""

    def find_class(self, module, name):
        if (module, name.split(".")[0]) in ALLOWED:
            return pickle.Unpickler.find_class(self, module, name)
        raise pickle.UnpicklingError(module + "." + name)


BUILTIN = ("builtins", "__builtin__")
ALLOWED = {(module, name) for module in BUILTIN for name in ("set", "frozenset", "bytes", "bytearray")}
ALLOWED |= {("_codecs", "encode"), ("collections", "OrderedDict")} | {("datetime", name) for name in ("datetime", "date", "time", "timedelta", "timezone")}


def read():
    resource.setrlimit(resource.RLIMIT_AS, (2 ** 30, 2 ** 30))  # a few bytes can ask for gigabytes
    for line in sys.stdin:
        try:
            described = describe(Careful(io.BytesIO(base64.b64decode(line))).load())
        except Exception as error:
            described = ["error", type(error).__name__]
        print(json.dumps(described))


if __name__ == "__main__":
    {"make": lambda: make(RECORDED + (long_ones,)), "record": lambda: make(RECORDED), "read": read}[sys.argv[1]]()
