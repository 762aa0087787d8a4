"""Python's imaplib shares a mailbox between two accounts, and asks for quotas."""

import imaplib
import ssl
import sys

host, port, ca, password = sys.argv[1:5]
alice, bob = "alice@example.test", "bob@example.test"
shared = '"Other Users/bob@example.test/Projects"'


def connect(user):
    m = imaplib.IMAP4_SSL(host, int(port), ssl_context=ssl.create_default_context(cafile=ca))
    m.login(user, password)
    return m


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


b, a = connect(bob), connect(alice)
words = ok(b.capability())[0].split()
assert b"ACL" in words and b"QUOTA" in words, words
assert b"Other Users/" in ok(a.namespace())[0]

ok(b.create("Projects"))
for n in range(3):
    ok(b.append("Projects", None, None, b"Subject: plan %d\r\n\r\nhello\r\n" % n))
assert a.select(shared)[0] == "NO"
# With lrs alone the mailbox is READ-ONLY (RFC 4314 §5.2), which imaplib refuses.
ok(b.setacl("Projects", alice, "lrsi"))
acl = ok(b.getacl("Projects"))[0]
assert b"alice@example.test lrsi" in acl and b"bob@example.test lrswipkxtea" in acl, acl

# She sees it, reads it, and what she reads stays new to him.
listed = ok(a.list('""', '"*"'))
assert any(shared.encode() in x for x in listed), listed
assert b" lrsi" in ok(a.myrights(shared))[0]
assert ok(a.select(shared))[0] == b"3"
ok(a.fetch("1:2", "(BODY[TEXT])"))
assert ok(a.search(None, "UNSEEN"))[0] == b"3"
assert a.store("1", "+FLAGS", "\\Flagged")[0] == "NO"
ok(b.select("Projects"))
assert ok(b.search(None, "UNSEEN"))[0] == b"1 2 3"

# With more rights she brings a message, and takes one to her own mailbox.
ok(b.setacl("Projects", alice, "+wte"))
ok(a.noop())
ok(a.append(shared, None, None, b"Subject: from alice\r\n\r\nhello\r\n"))
ok(a.store("1", "+FLAGS", "\\Flagged"))
ok(a.copy("1", "Archive"))
ok(a.select("Archive"))
assert b"plan 0" in ok(a.fetch("1", "(FLAGS BODY.PEEK[HEADER])"))[0][1]
ok(b.noop())
assert ok(b.search(None, "SUBJECT", '"from alice"'))[0] == b"4"
assert ok(b.search(None, "FLAGGED"))[0] == b"1"

# The messages are his: so is the quota.
root, quota = ok(a.getquotaroot(shared))
assert bob.encode() in root[0] and b"MAILBOX 7" in quota[0], (root, quota)
assert a.setquota(bob, "(STORAGE 1)")[0] == "NO"

ok(b.deleteacl("Projects", alice))
assert a.select(shared)[0] == "NO"
a.logout()
b.logout()
print("all done")
