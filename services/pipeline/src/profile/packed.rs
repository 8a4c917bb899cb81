//! Long lists of numbers, as base64 in JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use half::f16;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Numbers that are written as base64 of 32-bit floats, lowest byte first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Floats(pub Vec<f32>);

/// Numbers that are written as base64 of 16-bit floats, lowest byte first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Halves(pub Vec<f16>);

impl Serialize for Floats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|value| value.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl Serialize for Halves {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|value| value.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(words(deserializer)?.into_iter().map(f32::from_le_bytes).collect()))
    }
}

impl<'de> Deserialize<'de> for Halves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(words(deserializer)?.into_iter().map(f16::from_le_bytes).collect()))
    }
}

/// The text's bytes, `N` by `N`.
fn words<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<Vec<[u8; N]>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
    let (words, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        Ok(words.to_vec())
    } else {
        Err(D::Error::custom(format_args!(
            "{} bytes are no list of numbers of {N} bytes",
            bytes.len()
        )))
    }
}
