//! The bounds of `daypass.toml`.

use super::table::{
    Bounds,
    Place::{After, Of},
    Values::{List, Table, Text, These},
    network, port,
};

const ISSUER: &str = "[[issuer]]\nname = \"other\"\nurl = \"https://other.example.com\"\n\
                      client_id = \"d\"\nalgorithms = [\"ES256\"]\nbinding = \"nonce\"\n";
const WEBHOOK: &str =
    "[[webhook]]\nname = \"a\"\nurl = \"https://a.example.com\"\nsecret_file = \"secret\"\n";
const HOSTS: &str = "[hosts]\nlifetime = \"14d\"\nbehind_after = \"1h\"\n[[hosts.key]]\nfile = \"hosts\"\nstate = \"active\"\n";
const LIMITS: &str = "[limits]\n";

#[rustfmt::skip]
pub(super) const ALL: &[Bounds] = &[
    Bounds::of(("Top level", "proxies", "At most 64"), "", After("proxies = @"), List(0, 64, network)),
    Bounds::of(("[[issuer]]", "name", "1 to 64 letters"), ISSUER, Of("\"other\""), Text(64)),
    Bounds::of(("[[issuer]]", "session", "from `\"1m\"` to `\"7d\"`"), ISSUER, After("refresh = true\nsession = @"), These(&["\"1m\"", "\"7d\""], &["\"59s\"", "\"7d 1s\""])),
    Bounds::of(("[[issuer]]", "redirect_ports", "1024 to 65535"), ISSUER, After("redirect_ports = @"), These(&["[1024]", "[65535]"], &["[1023]", "[65536]"])),
    Bounds::of(("[[issuer]]", "redirect_ports", "at most 16"), ISSUER, After("redirect_ports = @"), List(0, 16, port)),
    Bounds::of(("[[issuer]]", "authorization_parameters", "at most 16"), ISSUER, After("authorization_parameters = @"), Table(16)),
    Bounds::of(("[[webhook]]", "name", "1 to 64 letters"), WEBHOOK, Of("\"a\""), Text(64)),
    Bounds::of(("[[webhook]]", "timeout", "1s to 30s"), WEBHOOK, After("timeout = @"), These(&["\"1s\"", "\"30s\""], &["\"999ms\"", "\"31s\""])),
    Bounds::of(("[hosts]", "lifetime", "`\"1d\"` to `\"90d\"`"), HOSTS, Of("\"14d\""), These(&["\"1d\"", "\"90d\""], &["\"23h\"", "\"90d 1s\""])),
    Bounds::of(("[hosts]", "behind_after", "`\"5m\"` to `\"7d\"`"), HOSTS, Of("\"1h\""), These(&["\"5m\"", "\"7d\""], &["\"299s\"", "\"7d 1s\""])),
    Bounds::of(("[limits]", "connections", "1 to 1000000"), LIMITS, After("connections = @\nconnections_per_address = 1"), These(&["1", "1000000"], &["0", "1000001"])),
    Bounds::of(("[limits]", "connections_per_address", "1 to `connections`"), LIMITS, After("connections_per_address = @\nconnections = 500"), These(&["1", "500"], &["0", "501"])),
    Bounds::of(("[limits]", "streams", "1 to 1000"), LIMITS, After("streams = @"), These(&["1", "1000"], &["0", "1001"])),
    Bounds::of(("[limits]", "watches", "16 to 100000"), LIMITS, After("watches = @"), These(&["16", "100000"], &["15", "100001"])),
    Bounds::of(("[limits]", "message_bytes", "32768 to 1048576"), LIMITS, After("message_bytes = @"), These(&["32768", "1048576"], &["32767", "1048577"])),
    Bounds::of(("[limits]", "header_bytes", "32768 to 1048576"), LIMITS, After("header_bytes = @"), These(&["32768", "1048576"], &["32767", "1048577"])),
    Bounds::of(("[limits]", "unproven_bytes", "1048576 to 17179869184"), LIMITS, After("unproven_bytes = @\nunproven_bytes_per_address = 1048576"), These(&["1048576", "17179869184"], &["1048575", "17179869185"])),
    Bounds::of(("[limits]", "unproven_bytes_per_address", "1048576 to `unproven_bytes`"), LIMITS, After("unproven_bytes_per_address = @\nunproven_bytes = 2000000"), These(&["1048576", "2000000"], &["1048575", "2000001"])),
    Bounds::of(("[limits]", "handshake", "1s to 60s"), LIMITS, After("handshake = @"), These(&["\"1s\"", "\"60s\""], &["\"999ms\"", "\"61s\""])),
    Bounds::of(("[limits]", "first_byte", "1s to 60s"), LIMITS, After("first_byte = @"), These(&["\"1s\"", "\"60s\""], &["\"999ms\"", "\"61s\""])),
    Bounds::of(("[limits]", "request", "1s to 600s"), LIMITS, After("request = @"), These(&["\"1s\"", "\"600s\""], &["\"999ms\"", "\"601s\""])),
    Bounds::of(("[limits]", "idle", "1s to 86400s"), LIMITS, After("idle = @"), These(&["\"1s\"", "\"86400s\""], &["\"999ms\"", "\"86401s\""])),
    Bounds::of(("[limits]", "age", "60s to 86400s"), LIMITS, After("age = @"), These(&["\"60s\"", "\"86400s\""], &["\"59s\"", "\"86401s\""])),
    Bounds::of(("[limits]", "drain", "1s to 600s"), LIMITS, After("drain = @"), These(&["\"1s\"", "\"600s\""], &["\"999ms\"", "\"601s\""])),
    Bounds::of(("A rate", "per_second", "1 to 1000000"), LIMITS, After("requests_per_address = { per_second = @, burst = 1 }"), These(&["1", "1000000"], &["0", "1000001"])),
    Bounds::of(("A rate", "burst", "1 to 1000000"), LIMITS, After("requests_per_identity = { per_second = 1, burst = @ }"), These(&["1", "1000000"], &["0", "1000001"])),
];
