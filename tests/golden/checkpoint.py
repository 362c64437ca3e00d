#!/usr/bin/env python3
"""Makes checkpoint.txt and checkpoint.vkey from the texts of C2SP signed-note and tlog-checkpoint alone.

It shares no code with src/ledger: Python's `cryptography` signs, hashlib hashes. Run it in this folder.
The seed is the bytes 0..31; the leaves are b"leaf 0", b"leaf 1", b"leaf 2".
"""
import base64, hashlib
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

origin = "daypass.example.com/ledger"
key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
short = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]

leaf = lambda n: hashlib.sha256(b"\0leaf %d" % n).digest()
node = lambda l, r: hashlib.sha256(b"\1" + l + r).digest()
root = node(node(leaf(0), leaf(1)), leaf(2))

b64 = lambda data: base64.b64encode(data).decode()
text = f"{origin}\n3\n{b64(root)}\n"
with open("checkpoint.txt", "w", encoding="utf-8") as f:
    f.write(f"{text}\n\u2014 {origin} {b64(short + key.sign(text.encode()))}\n")
with open("checkpoint.vkey", "w", encoding="utf-8") as f:
    f.write(f"{origin}+{short.hex()}+{b64(bytes([1]) + public)}\n")
