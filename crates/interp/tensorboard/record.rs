//! Records of event files, byte by byte: TensorFlow's framing (`tensorflow/core/lib/io/record_writer.h`) around protocol buffers
//! (`tensorflow/core/util/event.proto`, `tensorflow/core/framework/summary.proto`).

/// The first record of a file, by which readers know the version of the others.
pub(super) fn first(wall_time: f64) -> Vec<u8> {
    framed(&[double(1, wall_time), bytes(3, b"brain.Event:2")].concat())
}

/// The record of a step: values by tag, as an `Event` with a `Summary`. The time is in seconds since 1970.
pub(super) fn scalars(wall_time: f64, step: u64, values: &[(String, f32)]) -> Vec<u8> {
    let value = |(tag, value): &(String, f32)| bytes(1, &[bytes(1, tag.as_bytes()), float(2, *value)].concat());
    let summary: Vec<u8> = values.iter().flat_map(value).collect();
    framed(&[double(1, wall_time), integer(2, step), bytes(5, &summary)].concat())
}

/// Length, its checksum, the data, its checksum; numbers are little-endian.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), data, &checksum(data)].concat()
}

/// CRC-32C, masked: a checksum over data that holds checksums would be weak.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Castagnoli's cyclic redundancy check (RFC 3720, section 12.1), bit by bit: an epoch has few bytes.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !data.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

/// Number and wire type of a field below 16.
fn key(field: u8, wire: u8) -> Vec<u8> {
    vec![field << 3 | wire]
}

fn integer(field: u8, value: u64) -> Vec<u8> {
    [key(field, 0), varint(value)].concat()
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&key(field, 1)[..], &value.to_le_bytes()].concat()
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [&key(field, 2)[..], &varint(value.len() as u64), value].concat()
}

fn float(field: u8, value: f32) -> Vec<u8> {
    [&key(field, 5)[..], &value.to_le_bytes()].concat()
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The catalogue's check value, and those of RFC 3720, appendix B.4.
    #[test]
    fn checksums_are_those_that_are_published() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
    }

    /// 300 is the example of the protocol buffers' description of their encoding.
    #[test]
    fn integers_have_seven_bits_a_byte() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(127), [0x7f]);
        assert_eq!(varint(128), [0x80, 1]);
        assert_eq!(varint(300), [0xac, 2]);
        assert_eq!(varint(u64::MAX), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    #[test]
    fn a_record_by_hand() {
        let event = b"\x09\0\0\0\0\0\0\xf0\x3f\x10\x03\x2a\x0a\x0a\x08\x0a\x01a\x15\0\0\0\x3f";
        let record = scalars(1.0, 3, &[("a".into(), 0.5)]);
        assert_eq!(record[..8], [23, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(record[12..35], event[..]);
        assert_eq!(record.len(), 12 + 23 + 4);
    }
}
