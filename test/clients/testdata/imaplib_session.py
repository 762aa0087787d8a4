"""A session of Python's imaplib, and one over zlib: PORT CA USER PASSWORD."""

import imaplib
import ssl
import sys
import zlib

port, ca, user, password = sys.argv[1:]


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def connect():
    m = imaplib.IMAP4_SSL("localhost", int(port), ssl_context=ssl.create_default_context(cafile=ca))
    ok(m.login(user, password))
    m.capabilities = tuple(ok(m.capability())[0].decode().upper().split())
    return m


def refused(call, *args):
    try:
        kind, data = call(*args)
    except imaplib.IMAP4.error:
        return
    assert kind == "NO", (kind, data)


with connect() as m:
    for word in ("IMAP4REV1", "UIDPLUS", "MOVE", "IDLE", "CONDSTORE", "QRESYNC", "ESEARCH", "SORT", "NOTIFY"):
        assert word in m.capabilities, word
    ok(m.noop())
    ok(m.namespace())
    ok(m.create("Lists/One"))
    refused(m.create, "Lists/One")
    ok(m.subscribe("Lists/One"))
    assert any(b"Lists/One" in line for line in ok(m.lsub()))
    ok(m.rename("Lists/One", "Lists/Two"))
    assert any(b"Lists/Two" in line for line in ok(m.list("Lists/", "%")))
    assert b"MESSAGES 3" in ok(m.status("INBOX", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ)"))[0]
    assert ok(m.select("INBOX")) == [b"3"]
    data = ok(m.fetch("1:*", "(UID FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)"))
    assert len(data) == 3, data
    data = ok(m.fetch("2", "(RFC822)"))
    assert b"Subject: imaplib 2" in data[0][1]
    assert imaplib.ParseFlags(ok(m.fetch("2", "(FLAGS)"))[0]) and ok(m.search(None, "SEEN")) == [b"2"]
    assert ok(m.search("UTF-8", "SUBJECT", '"imaplib 3"')) == [b"3"]
    assert ok(m.sort("(REVERSE SUBJECT)", "UTF-8", "ALL")) == [b"3 2 1"]
    assert ok(m.thread("ORDEREDSUBJECT", "UTF-8", "ALL"))[0].count(b"(") == 3
    ok(m.append("Lists/Two", r"(\Seen $Work)", imaplib.Time2Internaldate(1_000_000_000), b"Subject: appended\r\n\r\ntext\r\n"))
    ok(m.copy("1:2", "Lists/Two"))
    assert b"MESSAGES 3" in ok(m.status("Lists/Two", "(MESSAGES)"))[0]
    ok(m.uid("MOVE", "3", "Trash"))
    ok(m.store("1", "+FLAGS", r"(\Deleted \Answered)"))
    assert ok(m.expunge())[-1] == b"1"
    assert b"imaplib 2" in ok(m.uid("FETCH", "2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))[0][1]
    ok(m.close())
    ok(m.delete("Lists/Two"))
    refused(m.select, "Lists/Two")
    # Names in UTF-8, once enabled.
    ok(m.enable("UTF8=ACCEPT"))
    ok(m.create('"日本語 & more"'))
    assert any("日本語 & more".encode() in line for line in ok(m.list('""', '"*"')))
    ok(m.select('"日本語 & more"', readonly=True))
    ok(m.unselect() if hasattr(m, "unselect") else m.close())


class Deflated:
    """The socket under imaplib, compressed as RFC 4978 has it."""

    def __init__(self, sock):
        self.sock, self.buf = sock, b""
        self.out, self.back = zlib.compressobj(9, zlib.DEFLATED, -15), zlib.decompressobj(-15)

    def sendall(self, data):
        self.sock.sendall(self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH))

    def fill(self):
        data = self.sock.recv(4096)
        assert data, "the connection ended"
        self.buf += self.back.decompress(data)

    def read(self, size):
        while len(self.buf) < size:
            self.fill()
        data, self.buf = self.buf[:size], self.buf[size:]
        return data

    def readline(self, *_):
        while b"\n" not in self.buf:
            self.fill()
        return self.read(self.buf.index(b"\n") + 1)


with connect() as m:
    imaplib.Commands["COMPRESS"] = ("AUTH", "SELECTED")
    kind, data = m._simple_command("COMPRESS", "DEFLATE")
    assert kind == "OK", data
    deflated = Deflated(m.sock)
    m.send, m.read, m.readline = deflated.sendall, deflated.read, deflated.readline
    ok(m.select("INBOX"))
    long = b"Subject: long\r\n\r\n" + b"0123456789abcdef\r\n" * 20_000
    for _ in range(3):
        ok(m.append("INBOX", None, None, long))
    data = ok(m.fetch("2:4", "(BODY.PEEK[])"))
    assert sum(part[1] == long for part in data if isinstance(part, tuple)) == 3
    for _ in range(50):
        ok(m.noop())
    ok(m.fetch("1:*", "(FLAGS)"))

print("all done")
