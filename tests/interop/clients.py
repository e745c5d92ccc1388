"""A real client of Python, told what to do by lines of JSON, so that a test can ask what it stores and what it reads.

    clients.py CLIENT PORT

A line is {"set": key, "value": described} or {"get": key}; it is answered by the described value, {"error": …} if it fails.
Described values are those of pickles.py. What is long is compressed, as the client does that.
"""
import datetime
import json
import pickle
import socket
import struct
import sys
import zlib

from pickles import describe

MIN_COMPRESS_LENGTH = 1000


def make(described):
    """The value of a description."""
    kind, what = described[0], described[1] if len(described) > 1 else None
    each = lambda values: [make(value) for value in values]
    makers = {
        "none": lambda: None,
        "bool": lambda: what,
        "int": lambda: int(what),
        "float": lambda: struct.unpack(">d", bytes.fromhex(what))[0],
        "text": lambda: what,
        "bytes": lambda: bytes.fromhex(what),
        "list": lambda: each(what),
        "tuple": lambda: tuple(each(what)),
        "set": lambda: set(each(what)),
        "dict": lambda: {make(key): make(value) for key, value in what},
        "datetime": lambda: datetime.datetime.fromisoformat(what),
    }
    return makers[kind]()


def pymemcache_client(port):
    from pymemcache.client.base import Client
    from pymemcache.serde import PickleSerde

    class Compressed:
        """What pymemcache has as CompressedSerde from version 3.6 on."""

        inner = PickleSerde()

        def serialize(self, key, value):
            value, flags = self.inner.serialize(key, value)
            if len(value) > MIN_COMPRESS_LENGTH:
                squeezed = zlib.compress(value if isinstance(value, bytes) else value.encode("ascii"))
                if len(squeezed) < len(value):
                    return squeezed, flags | 8
            return value, flags

        def deserialize(self, key, value, flags):
            if flags & 8:
                return self.inner.deserialize(key, zlib.decompress(value), flags & ~8)
            return self.inner.deserialize(key, value, flags)

    client = Client(("127.0.0.1", port), serde=Compressed())
    return lambda key, value: client.set(key, value, noreply=False), client.get


def pylibmc_client(port):
    import pylibmc

    client = pylibmc.Client(["127.0.0.1:%d" % port])
    return lambda key, value: client.set(key, value, min_compress_len=MIN_COMPRESS_LENGTH), client.get


def python_memcached_client(port):
    import memcache

    client = memcache.Client(["127.0.0.1:%d" % port], server_max_value_length=0)
    return lambda key, value: client.set(key, value, min_compress_len=MIN_COMPRESS_LENGTH), client.get


def pyermc_client(port):
    """pyermc itself needs Python 2: this stores and reads as it does, with the same lz4 and pickle. Its str is bytes here."""
    import lz4.block

    connection = socket.create_connection(("127.0.0.1", port)).makefile("rwb")

    def store(key, value):
        if isinstance(value, bytes):
            flags = 0
        elif type(value) is int or value is True or value is False:
            flags, value = 2, b"%d" % value
        else:
            flags, value = 1, pickle.dumps(value, 0)
        if flags != 2 and len(value) > MIN_COMPRESS_LENGTH:
            squeezed = lz4.block.compress(value)
            if len(squeezed) < len(value):
                flags, value = flags | 8, squeezed
        connection.write(b"set %s %d 0 %d\r\n%s\r\n" % (key.encode(), flags, len(value), value))
        connection.flush()
        return connection.readline() == b"STORED\r\n"

    def get(key):
        connection.write(b"get %s\r\n" % key.encode())
        connection.flush()
        flags, length = map(int, connection.readline().split()[2:4])
        value = connection.read(length)
        connection.read(len(b"\r\nEND\r\n"))
        if flags & 8:
            value = lz4.block.decompress(value)
        if flags & ~8 == 0:
            return value
        return int(value) if flags & 6 else pickle.loads(value)

    return store, get


CLIENTS = {
    "pymemcache": pymemcache_client,
    "pylibmc": pylibmc_client,
    "python-memcached": python_memcached_client,
    "pyermc": pyermc_client,
}


def main():
    store, get = CLIENTS[sys.argv[1]](int(sys.argv[2]))
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "set" in command:
                answer = describe(bool(store(command["set"], make(command["value"]))))
            else:
                answer = describe(get(command["get"]))
        except Exception as error:
            answer = {"error": "%s: %s" % (type(error).__name__, error)}
        print(json.dumps(answer), flush=True)


main()
