"""gRPC without its libraries: messages of the Open Inference Protocol (schemas/open_inference.proto) over h2.

The client libraries of Triton and KServe need an environment each (grpc_clients); this is what a thread of mixed traffic can hold
beside clients of all other wires.
"""

import socket

import h2.config
import h2.connection
import h2.events

import open_inference
import wire

SERVICE = "inference.GRPCInferenceService"


RESOURCE_EXHAUSTED = "8"


class Failed(Exception):
    """The call ended with a status that is not OK, which is `args[0]`."""


class Client:
    """One connection."""

    def __init__(self, server, timeout=60):
        self._socket = socket.create_connection(server.host_and_port, timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._flush()

    def infer(self, model, feed):
        """`ModelInfer`: the outputs by name."""
        (message,) = self._call("ModelInfer", [infer_request(model, feed)])
        return outputs_of(message)

    def stream(self, model, feeds):
        """`ModelStreamInfer`: for each request its outputs by name, or the text of a refusal."""
        answers = []
        for message in self._call("ModelStreamInfer", [infer_request(model, feed) for feed in feeds]):
            fields = parsed(message)
            answers.append(fields[1][0].decode() if 1 in fields else outputs_of(fields[2][0]))
        return answers

    def close(self):
        self._socket.close()

    def _flush(self):
        self._socket.sendall(self._h2.data_to_send())

    def _call(self, method, messages):
        stream = self._h2.get_next_available_stream_id()
        head = {":method": "POST", ":scheme": "http", ":authority": "test", ":path": f"/{SERVICE}/{method}"}
        self._h2.send_headers(stream, [*head.items(), ("content-type", "application/grpc"), ("te", "trailers")])
        body = b"".join(b"\0" + len(message).to_bytes(4, "big") + message for message in messages)
        # The server's window is larger than these messages.
        size = self._h2.max_outbound_frame_size
        for start in range(0, len(body), size):
            self._h2.send_data(stream, body[start : start + size], end_stream=start + size >= len(body))
        self._flush()
        received, status, text = b"", None, ""
        while status is None:
            data = self._socket.recv(65536)
            assert data, "the server closed the connection"
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    received += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, (h2.events.TrailersReceived, h2.events.ResponseReceived)):
                    headers = dict(event.headers)
                    status, text = headers.get("grpc-status", status), headers.get("grpc-message", text)
                elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    raise AssertionError(f"the call was ended: {event}")
            self._flush()
        if status != "0":
            raise Failed(status, text)
        return list(_messages(received))


def _messages(received):
    while received:
        end = 5 + int.from_bytes(received[1:5], "big")
        yield received[5:end]
        received = received[end:]


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


def infer_request(model, feed):
    """A `ModelInferRequest` with its elements in `raw_input_contents`."""
    message = field(1, model.encode())
    for name, array in feed.items():
        datatype = open_inference.described(name, array)["datatype"]
        shape = b"".join(varint(size) for size in array.shape)
        message += field(5, field(1, name.encode()) + field(2, datatype.encode()) + field(3, shape))
    return message + b"".join(field(7, wire.to_raw({name: array})[0]) for name, array in feed.items())


def parsed(message):
    """The fields of a message by number, each a list of bytes or integers."""
    fields, at = {}, 0

    def integer():
        nonlocal at
        number, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(message):
        key = integer()
        if key & 7 == 0:
            fields.setdefault(key >> 3, []).append(integer())
        else:
            assert key & 7 == 2, f"wire type {key & 7}"
            length = integer()
            fields.setdefault(key >> 3, []).append(message[at : at + length])
            at += length
    return fields


def outputs_of(message):
    """The outputs of a `ModelInferResponse`, whose elements are in `raw_output_contents`."""
    fields = parsed(message)
    outputs = {}
    for described, raw in zip(fields[5], fields[6], strict=True):
        output = parsed(described)
        sizes = tuple(_varints(output.get(3, [b""])[0]))
        dtype = open_inference.TYPES[output[2][0].decode()]
        outputs[output[1][0].decode()] = open_inference.from_bytes(raw, dtype, sizes)
    return outputs


def _varints(packed):
    number, shift = 0, 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number, shift = 0, 0
