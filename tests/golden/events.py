#!/usr/bin/env python3
"""Makes events.jsonl: one event of each kind as its stored bytes, written by Python's json and not by src/ledger.

Leaves are compact JSON in printable ASCII: everything else is a \\u escape, as is DEL. Run it in this folder.
locks.jsonl has administrators' orders, signed (PROTOCOL.sshsig) with Python's `cryptography`; the key's seed is 32 times 1.
"""
import base64, hashlib, json, struct
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

who = {
    "issuer": "https://id.example.com",
    "subject": "u-4711",
    "label": "alice@example.com",
    "claims": {"email": "alice@example.com", "groups": ["oncall", "sre"]},
}
asked = {"role": "web-logs"}
asked_in_full = {
    "role": "web-logs",
    "host": "web-1",
    "params": {"unit": "nginx"},
    "reason": "INC-7: \x1b[2J\u2028\u202eZürich\n\"🔑\"\x7f",
    "ttl_seconds": 600,
    "source_addresses": ["203.0.113.7/32"],
    "extensions": ["pty"],
    "caller": "203.0.113.7",
}
policy, ca = "ab" * 32, "SHA256:ca"


def issued(ask, extensions, **more):
    return {
        "type": "issued",
        "who": who,
        "ask": ask,
        "key": "SHA256:subject",
        "binding": "nonce",
        "key_id": "alice@example.com/web-logs",
        "principals": ["weblogs@web"],
        **more,
        "extensions": extensions,
        "valid_after": 1795361511,
        "valid_before": 1795363371,
        "policy": policy,
        "ca": ca,
        "to_be_signed": "cd" * 32,
    }


def denied(ask, key, reason, detail):
    return {"type": "denied", "who": who, "ask": ask, "key": key, "reason": reason, "detail": detail, "policy": policy}


events = [
    {"type": "started", "version": "0.1.0", "server": "daypass.example.com"},
    {"type": "policy_loaded", "policy": policy},
    {"type": "key_staged", "key": ca},
    {"type": "key_activated", "key": ca},
    {"type": "key_retired", "key": ca},
    issued(asked, []),
    issued(
        asked_in_full,
        ["permit-pty"],
        command="/usr/bin/journalctl --unit 'nginx'",
        source_addresses=["203.0.113.7/32"],
    ),
    {"type": "signing_failed", "serial": 6, "cause": "agent is gone"},
    denied(asked_in_full, "SHA256:subject", "NOT_ALLOWED", "role web-logs is not open to you"),
    denied(asked, None, "SUBJECT_KEY", "the key is refused"),
]


def write(name, first, events):
    with open(name, "w", encoding="ascii", newline="\n") as f:
        for index, event in enumerate(events, first):
            leaf = {"index": index, "at": "2026-11-22T15:32:51.123Z", **event}
            f.write(json.dumps(leaf, separators=(",", ":")).replace("\x7f", "\\u007f") + "\n")


def strings(*parts):
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


key = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
blob = strings(b"ssh-ed25519", key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
token = b"\x07" * 32
base64_of = lambda data: base64.b64encode(data).decode()


def sshsig(namespace, message):
    hashed = hashlib.sha512(message).digest()
    signed = b"SSHSIG" + strings(namespace, b"", b"sha512", hashed)
    signature = strings(b"ssh-ed25519", key.sign(signed))
    return b"SSHSIG" + struct.pack(">I", 1) + strings(blob, namespace, b"", b"sha512", signature)


def order(verb, event, after):
    [(kind, target)] = event["target"].items()
    target = target.encode() if isinstance(target, str) else struct.pack(">Q", target)
    namespace = b"daypass-admin@v1"
    message = strings(
        namespace,
        verb,
        b"daypass.example.com",
        token,
        who["issuer"].encode(),
        who["subject"].encode(),
        kind.encode(),
        target,
        event.get("reason", "").encode(),
        struct.pack(">Q", after),
    )
    proof = {
        "key": "ssh-ed25519 " + base64_of(blob),
        "signature": base64_of(sshsig(namespace, message)),
        "token": token.hex(),
        "after": after,
    }
    return {**event, "proof": proof}


def locked(target, serials, after, **covers):
    event = {"type": "locked", "who": who, "target": target, "reason": "laptop stolen", "serials": serials, **covers}
    return order(b"lock", event, after)


def revoked(target, serials, after, **covers):
    event = {"type": "revoked", "who": who, "target": target, "serials": serials, **covers}
    return order(b"revoke", event, after)


bob = {"identity": "bob@example.com"}
covers = [{"issuer": "https://id.example.com", "subject": "u-4712", "label": "bob@example.com"}]
locks = [
    locked(bob, [5, 6], 0, covers=covers),
    locked({"key": "SHA256:subject"}, [], 0),
    locked({"role": "prod"}, [], 0),
    order(b"unlock", {"type": "unlocked", "who": who, "target": bob}, 11),
    revoked({"serial": 7}, [7], 0),
    revoked({"key": "SHA256:subject"}, [], 12),
    revoked(bob, [], 14, covers=covers),
    revoked({"before": 1795361511}, [8, 9], 0),
]
write("events.jsonl", 0, events)
write("locks.jsonl", 10, locks)
