#!/usr/bin/env python3
"""A small manager, written from docs/protocol.md alone: it echoes, and obeys `all WORD`, `bye`, `cut` and `stop`.

With `admit` it lets clients in one by one: not those of a listener named `closed`, which it bans for a second.
With SIDEGATE_MANAGER_SECRET it asks gateways for proofs.
Usage: manager.py unix:/path/to.sock | tcp://host:port [capacity [admit]]
Events go to stdout, one JSON object a line; faults go to stderr. SIGTERM, or the end of stdin, ends it."""
import hashlib, hmac, json, os, signal, socket, socketserver, struct, sys, threading, urllib.parse

PING_MS, MAX_FRAME, FIRST_MAX_FRAME, MAX_MAP, REGISTER_S = 200, 1 << 20, 65536, 65536, 15
JOIN, GONE, MSG, PING, REGISTER, PROOF, LISTENING, ACK, DRAINING = FROM_GATEWAY = 0, 1, 2, 3, 16, 17, 18, 19, 20
SEND, SEND_ALL, DROP, DISCARD, SHUTDOWN, REGISTERED, REJECTED, CHALLENGE = 0, 1, 2, 3, 4, 16, 17, 18
ACKED, PONG, ADMIT, ACK_BYTES = 19, 20, 39, 256 << 10
SECRET = os.environ.get("SIDEGATE_MANAGER_SECRET", "").encode()
# MessagePack: what follows the tags 0xC4 to 0xDF, a size or a number, as a struct format; "-" is not plain.
HEADS = "BHI---fdBHIQbhiq-----BHIHIHI"


def encode(v):
    if isinstance(v, dict):
        return struct.pack(">BH", 0xDE, len(v)) + b"".join(encode(x) for item in v.items() for x in item)
    if isinstance(v, (str, bytes)):
        tag, raw = (0xDA, v.encode()) if isinstance(v, str) else (0xC5, v)
        return struct.pack(">BH", tag, len(raw)) + raw
    if isinstance(v, bool):
        return b"\xC3" if v else b"\xC2"
    return struct.pack(">Bd", 0xCB, v)  # a float64 holds every number that we send


def decode(data, at=0, level=1):
    """The value at `at`, and where the next one starts."""
    tag, at = data[at], at + 1
    if tag < 0x80 or tag >= 0xE0:
        return tag if tag < 0x80 else tag - 256, at
    if 0xC0 <= tag <= 0xC3:
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    size = tag & (0x1F if tag >= 0xA0 else 0x0F)
    if tag >= 0xC4:
        head = struct.Struct(">" + HEADS[tag - 0xC4])
        size, at = head.unpack_from(data, at)[0], at + head.size
    if 0xCA <= tag <= 0xD3:
        return size, at  # it was a number
    if 0xA0 <= tag <= 0xDB:
        raw = struct.unpack_from("%ds" % size, data, at)[0]
        return raw if 0xC4 <= tag <= 0xC6 else raw.decode(), at + size
    if level > 8:
        raise ValueError("bad-map: too deep")
    is_map, items = tag <= 0x8F or tag >= 0xDE, []
    for _ in range(size * 2 if is_map else size):
        item, at = decode(data, at, level + 1)
        items.append(item)
    return dict(zip(items[::2], items[1::2])) if is_map else items, at


def read_map(data):
    body, end = decode(data) if len(data) <= MAX_MAP else (None, 0)
    if end != len(data) or not isinstance(body, dict) or not all(isinstance(key, str) for key in body):
        raise ValueError("bad-map: not one map with string keys, of at most %d bytes" % MAX_MAP)
    return body


def emit(event, **more):
    os.write(1, (json.dumps({"event": event, **more}) + "\n").encode())


class Link(socketserver.StreamRequestHandler):
    """The link of one gateway, in a thread of its own."""
    capacity, admit, last_id, names, lock = 100, False, 0, set(), threading.Lock()  # of all links
    timeout, name, applicant = REGISTER_S, None, None

    def send(self, kind, data=b""):  # may block for a while, but not for ever: a gateway never stops reading
        try:
            self.request.sendall(struct.pack("<II", kind, len(data)) + data)
        except ConnectionError:
            pass  # the gateway has closed the link: what it sent before is still to be read

    def handle(self):
        self.sessions, self.framed = {}, set()  # session: whether we have dropped it; those whose messages are whole
        self.handled, self.unacknowledged = 0, 0  # numbered frames, and bytes of them since the last Ack
        try:
            while header := self.rfile.read(8):  # waits for all 8, or the end; times out when nothing comes
                self.frame(*struct.unpack("<II", header))
        except Exception as fault:  # a protocol error, a silent gateway or a lost link: all of them end it
            print("link of %s: %r" % (self.name, fault), file=sys.stderr)
        for session in self.sessions:
            emit("leave", session=session, reason="manager-lost", by="gateway")
        if self.name is not None:
            Link.names.discard(self.name)
            emit("down")

    def frame(self, kind, size):
        first = (PROOF,) if self.applicant else (REGISTER,) if self.name is None else ()
        if kind not in FROM_GATEWAY or (kind not in first if first else kind in (REGISTER, PROOF)):
            raise ValueError("unknown-type or unexpected-frame: %d" % kind)
        if size > (FIRST_MAX_FRAME if self.name is None else MAX_FRAME) or (kind == ACK and size != 8):
            raise ValueError("frame-too-big or bad-length: %d bytes in type %d" % (size, kind))
        data = self.rfile.read(size)
        if len(data) < size:
            raise ValueError("the link ended inside a frame")
        if kind in (JOIN, GONE, MSG):
            self.session_frame(kind, *struct.unpack_from("<I", data), data[4:])
            self.handled, self.unacknowledged = self.handled + 1, self.unacknowledged + 8 + size
            if self.unacknowledged >= ACK_BYTES:
                self.acknowledge()
        elif kind != ACK:
            self.control_frame(kind, read_map(data))

    def acknowledge(self):  # a gateway that is not acknowledged to stops reading its clients
        self.unacknowledged = 0
        self.send(ACKED, struct.pack("<Q", self.handled))

    def session_frame(self, kind, session, data):
        body = data if kind == MSG else read_map(data)
        if (session in self.sessions) == (kind == JOIN):
            raise ValueError("unexpected-frame: %d for session %d" % (kind, session))
        if kind == JOIN:
            self.join(session, body)
        elif kind == GONE:
            emit("leave", session=session, reason=body["reason"], by=body["by"])
            self.framed.discard(session)
            if not self.sessions.pop(session):
                self.send(DROP, struct.pack("<I", session))  # the acknowledgement
        elif not self.sessions[session]:  # otherwise it has crossed our Drop
            self.message(session, body)

    def join(self, session, body):
        self.sessions[session] = False
        if body.get("framing", "none") != "none":
            self.framed.add(session)
        emit("join", session=session, **{key: body.get(key) for key in ("addr", "listener", "framing", "user", "rejoin")})
        if Link.admit and body["listener"] == "closed":
            self.drop(DROP, session, encode({"reason": "closed today", "code": 4003, "banMs": 1000}))
        elif Link.admit and not body.get("admitted"):
            self.send(ADMIT, struct.pack("<I", session))

    def drop(self, kind, session, body=b""):
        self.sessions[session] = True
        self.send(kind, struct.pack("<I", session) + body)

    def control_frame(self, kind, body):
        if kind == REGISTER and SECRET:
            self.applicant = body, body["nonce"] + os.urandom(16)
            self.send(CHALLENGE, encode({"nonce": self.applicant[1][16:], "proof": self.proof(b"manager")}))
        elif kind == PROOF and not hmac.compare_digest(body["proof"], self.proof(b"gateway")):
            self.reject("bad-secret", self.applicant[0]["name"])
        elif kind in (REGISTER, PROOF):
            body, self.applicant = self.applicant[0] if SECRET else body, None
            self.register(body["name"], body["version"], body["maxFrame"])
        elif kind == LISTENING:
            emit("up", endpoints=body["endpoints"])
        elif kind == PING:
            self.send(PONG, encode({"seq": body["seq"], "at": body["at"]}))
            self.acknowledge()
            emit("ping", seq=int(body["seq"]))
        elif kind == DRAINING:
            emit("draining")

    def proof(self, who):
        return hmac.new(SECRET, who + self.applicant[1], hashlib.sha256).digest()

    def reject(self, code, name):
        self.send(REJECTED, encode({"code": code, "message": "cannot take on '%s'" % name}))
        raise ValueError("rejected '%s': %s" % (name, code))

    def register(self, name, version, max_frame):
        with Link.lock:
            refused = "version" if version != 1 else "name-taken" if name in Link.names else None
            if refused:
                self.reject(refused, name)
            Link.names.add(name)
            Link.last_id = own_id = Link.last_id + 1
        self.name, self.max_frame = name, int(max_frame)
        self.request.settimeout(3 * PING_MS / 1000)
        emit("registered", name=name, id=own_id)
        self.send(REGISTERED, encode({"id": own_id, "capacity": Link.capacity, "epoch": os.urandom(16), "received": 0,
                                      "resumed": False, "pingMs": PING_MS, "maxFrame": MAX_FRAME, "admit": Link.admit}))

    def message(self, session, payload):
        emit("message", session=session, text=payload.decode("utf-8", "replace"))
        to, words = struct.pack("<I", session), payload.split()
        if len(words) == 2 and words[0] == b"all":
            self.send(SEND_ALL, words[1][:self.max_frame - 1] + b"\n")
        elif words == [b"stop"]:
            self.send(SHUTDOWN, encode({"reason": "a client said stop", "drainMs": 200}))
        elif words in ([b"bye"], [b"cut"]):
            if words == [b"bye"]:
                self.send(SEND, to + b"bye\n")
            self.drop(DROP if words == [b"bye"] else DISCARD, session)
        else:
            room = self.max_frame - 4  # a gateway may send longer frames than it takes
            if session in self.framed and len(payload) > room:
                return self.drop(DROP, session, encode({"reason": "too long to be sent back", "code": 1009}))
            for i in range(0, len(payload) or 1, room):  # an empty message is one, too
                self.send(SEND, to + payload[i:i + room])


if __name__ == "__main__":
    address, *rest = sys.argv[1:]
    Link.capacity, Link.admit = int(rest[0]) if rest else Link.capacity, rest[1:] == ["admit"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    path = address[5:] if address.startswith("unix:") else None
    if path:
        os.umask(0o177)  # the socket has mode 0600 from the start
        server = socketserver.ThreadingUnixStreamServer(path, Link)
    else:
        url, Server = urllib.parse.urlsplit(address), socketserver.ThreadingTCPServer
        Server.address_family = socket.AF_INET6 if ":" in url.hostname else socket.AF_INET
        server = Server((url.hostname, url.port), Link)
        address = "%s:%d" % (address.rpartition(":")[0], server.server_address[1])
    server.daemon_threads = True
    emit("listening", address=address)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        while os.read(0, 65536):
            pass
    finally:
        if path:
            os.unlink(path)
