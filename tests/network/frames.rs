//! HTTP/2 frames by hand (RFC 9113, 4.1), for what no honest client sends.

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The preface and empty settings.
pub fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// The headers of `POST path` (RFC 7541: static names, literal values, no indexing).
pub fn post(stream: u32, path: &str, flags: u8) -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x01\x09localhost\x0f\x10\x10application/grpc");
    frame(HEADERS, flags, stream, &block)
}

pub fn data(stream: u32, payload: &[u8], flags: u8) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

pub fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"12345678")
}

pub fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// The preface, and settings that let the peer send nothing of an answer.
pub fn hello_without_window() -> Vec<u8> {
    let initial_window_size = [0, 4, 0, 0, 0, 0];
    [PREFACE, &frame(SETTINGS, 0, 0, &initial_window_size)].concat()
}

/// More of a header block: a literal field of `size` bytes.
pub fn continuation(stream: u32, size: usize) -> Vec<u8> {
    let name = b"\x00\x01x\x7f";
    let rest = size - 127;
    let length = [
        0x80 | u8::try_from(rest % 128).unwrap(),
        u8::try_from(rest / 128).unwrap(),
    ];
    let value = vec![b'v'; size];
    frame(
        CONTINUATION,
        0,
        stream,
        &[name.as_slice(), &length, &value].concat(),
    )
}

/// The kinds of the frames in `bytes`, in order.
pub fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while bytes.len() >= 9 {
        let length =
            usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        kinds.push(bytes[3]);
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    kinds
}
