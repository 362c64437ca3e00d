#!/usr/bin/env python3
"""Makes events.jsonl: one event of each kind as its stored bytes, written by Python's json and not by src/ledger.

Leaves are compact JSON in printable ASCII: everything else is a \\u escape, as is DEL. Run it in this folder.
"""
import json

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


def locked(target, serials):
    return {"type": "locked", "who": who, "target": target, "reason": "laptop stolen", "serials": serials}


def revoked(target, serials):
    return {"type": "revoked", "who": who, "target": target, "serials": serials}


bob = {"identity": "bob@example.com"}
locks = [
    locked(bob, [5, 6]),
    locked({"key": "SHA256:subject"}, []),
    locked({"role": "prod"}, []),
    {"type": "unlocked", "who": who, "target": bob},
    revoked({"serial": 7}, [7]),
    revoked({"key": "SHA256:subject"}, []),
    revoked(bob, []),
    revoked({"before": 1795361511}, [8, 9]),
]
write("events.jsonl", 0, events)
write("locks.jsonl", 10, locks)
