"""A session that uses most of what Python's imaplib can do. It prints what it hears, and fails at the first refusal.

Left out of what it prints is what differs from user to user and from one server to another: UIDVALIDITY, how long
a command took, and what is recent. The account must hold an INBOX with ten messages or more, and a folder Archive.
"""

import imaplib
import re
import ssl
import sys

host, port, user, password, ca = sys.argv[1:6]

VARIES = [
    (rb"\[(UIDVALIDITY|HIGHESTMODSEQ) \d+\]", rb"[\1]"),
    (rb"\[(APPENDUID|COPYUID) \d+", rb"[\1"),
    (rb" ?\\Recent", rb""),
    (rb"FLAGS \( ", rb"FLAGS ("),
    (rb" \([0-9.]+ \+ [0-9. +]+secs\)", rb""),
]


def plain(item):
    if isinstance(item, tuple):
        return b" ".join(plain(part) for part in item)
    item = item or b""
    for pattern, instead in VARIES:
        item = re.sub(pattern, instead, item)
    return item


def tell(name, reply):
    status, data = reply
    if status not in ("OK", "BYE"):
        sys.exit(f"{name}: {status} {data}")
    print(name, status, *(plain(item).decode("utf-8", "replace") for item in data or []), sep="\n  ")


def session(m):
    tell("login", m.login(user, password))
    tell("noop", m.noop())
    tell("namespace", m.namespace())
    tell("list", m.list())
    tell("lsub", m.lsub())
    tell("status", m.status("Archive", "(MESSAGES UIDNEXT UNSEEN)"))
    tell("select", m.select("INBOX"))
    tell("search", m.search(None, "ALL"))
    tell("fetch", m.fetch("1:*", "(UID FLAGS RFC822.SIZE)"))
    tell("uid fetch", m.uid("FETCH", "1:4", "(BODY.PEEK[])"))
    tell("store", m.store("2", "+FLAGS", r"(\Flagged)"))
    tell("uid store", m.uid("STORE", "4:6", "+FLAGS.SILENT", "($Label1)"))
    tell("search flagged", m.search(None, "FLAGGED", "UNDELETED"))
    tell("append", m.append("INBOX", r"(\Seen)", '"01-Feb-2021 10:00:00 +0000"', b"Subject: appended\r\n\r\nfirst\r\n"))
    tell("noop", m.noop())
    tell("fetch last", m.fetch("*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    tell("copy", m.copy("1:2", "Archive"))
    tell("uid copy", m.uid("COPY", "3", "Archive"))
    tell("store deleted", m.store("3", "+FLAGS", r"(\Deleted)"))
    tell("expunge", m.expunge())
    tell("check", m.check())
    tell("sort", m.sort("(SUBJECT)", "UTF-8", "ALL"))
    tell("thread", m.thread("REFERENCES", "UTF-8", "ALL"))
    tell("create", m.create("New"))
    tell("subscribe", m.subscribe("New"))
    tell("append elsewhere", m.append("New", None, '"02-Feb-2021 10:00:00 +0000"', b"Subject: elsewhere\r\n\r\nsecond\r\n"))
    tell("rename", m.rename("New", "Newer"))
    tell("unsubscribe", m.unsubscribe("New"))
    tell("close", m.close())
    tell("list", m.list())
    tell("examine", m.select("Archive", readonly=True))
    tell("fetch body", m.fetch("1", "(BODY[TEXT])"))
    tell("unselect", m.unselect())
    tell("status", m.status("INBOX", "(MESSAGES UIDNEXT)"))
    tell("select", m.select("Newer"))
    tell("recent", m.recent()[:1] + ([],))
    tell("fetch", m.fetch("1", "(FLAGS BODY[])"))
    tell("unselect", m.unselect())
    tell("delete", m.delete("Newer"))
    tell("list", m.list())
    tell("logout", m.logout())


session(imaplib.IMAP4_SSL(host, int(port), ssl_context=ssl.create_default_context(cafile=ca)))
