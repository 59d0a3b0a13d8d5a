"""A MessagePack-RPC client of nothing but python3-msgpack: stock.py ADDRESS METHOD PARAMS, PARAMS a JSON array.

Prints the answer as JSON: {"result": …} or {"error": …}. In PARAMS {"bin": "hex"} stands for bytes; so it does in answers.
ADDRESS is HOST:PORT or the path of a Unix socket.
"""
import json
import socket
import sys

import msgpack


def connect(address):
    if "/" in address:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        return connection
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def from_json(value):
    if isinstance(value, dict):
        if set(value) == {"bin"}:
            return bytes.fromhex(value["bin"])
        return {key: from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json(item) for item in value]
    return value


def call(connection, request_id, method, params):
    """Send one request and read messages until its answer: (error, result)."""
    connection.sendall(msgpack.Packer(use_bin_type=True).pack([0, request_id, method, params]))
    unpacker = msgpack.Unpacker(raw=False)
    while True:
        received = connection.recv(65536)
        if not received:
            raise SystemExit("the node closed the connection")
        unpacker.feed(received)
        for message in unpacker:
            if message[0] == 1 and message[1] == request_id:
                return message[2], message[3]


def main():
    address, method, params = sys.argv[1], sys.argv[2], from_json(json.loads(sys.argv[3]))
    error, result = call(connect(address), 4294967295, method, params)
    answer = {"result": result} if error is None else {"error": error}
    print(json.dumps(answer, default=lambda value: {"bin": value.hex()}))


main()
