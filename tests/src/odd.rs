//! What only a foreign client can write.
#![allow(unsafe_code)]

/// The name of a header that is not UTF-8, as Kafka allows and clients in C write.
pub fn header_name() -> String {
    let name = b"odd-\xFF\xFE-name".to_vec();
    // SAFETY: nobody reads it as text. The client's wrapper, which only takes text, copies its bytes.
    unsafe { String::from_utf8_unchecked(name) }
}
