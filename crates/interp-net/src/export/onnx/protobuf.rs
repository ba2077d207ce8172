//! Messages of protocol buffers, written field by field (protobuf.dev/programming-guides/encoding): three kinds of fields are all that models
//! need, which is less than a library and the structures that it asks for.

/// A message in the making.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// An integer, of which negative ones are in two's complement.
    pub(super) fn integer(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    pub(super) fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u64, value: Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// The field once for each of the values.
    pub(super) fn each<T>(
        self,
        field: u64,
        values: impl IntoIterator<Item = T>,
        one: impl Fn(Self, u64, T) -> Self,
    ) -> Self {
        values.into_iter().fold(self, |message, value| one(message, field, value))
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The examples of protobuf.dev/programming-guides/encoding.
    #[test]
    fn messages_are_those_of_the_specification() {
        let bytes = |message: Message| message.into_bytes();
        assert_eq!(bytes(Message::default().integer(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(bytes(Message::default().text(2, "testing")), b"\x12\x07testing");
        assert_eq!(bytes(Message::default().message(3, Message::default().integer(1, 150))), b"\x1a\x03\x08\x96\x01");
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(bytes(Message::default().integer(1, -2)), minus_two);
    }
}
