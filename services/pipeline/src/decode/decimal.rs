//! Decimals: an integer of any size in two's complement, most significant byte first, and a scale.
//!
//! Owns: their exact text, and the float nearest to it.

use crate::rejection::{Reason, Rejection};

/// Longest integer that is read: 154 digits. The largest that databases have are half as long.
const MOST_BYTES: usize = 64;
/// Largest scale that is read, either way.
const MOST_SCALE: i64 = 400;
/// Powers of ten that a float has exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Integers up to here are floats exactly.
const EXACT: i128 = 1 << 53;

/// `integer × 10^-scale`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) scale: i64,
}

impl Decimal<'_> {
    /// Appends its text, with as many digits behind the point as the scale says.
    pub(crate) fn write(self, text: &mut String) -> Result<(), Rejection> {
        let bytes = self.checked()?;
        let is_negative = bytes.first().is_some_and(|first| *first >= 0x80);
        if is_negative {
            text.push('-');
        }
        let begin = text.len();
        push_digits(text, bytes, is_negative);
        let scale = self.scale;
        if scale < 0 {
            if &text[begin..] != "0" {
                text.extend(std::iter::repeat_n('0', scale.unsigned_abs() as usize));
            }
            return Ok(());
        }
        let scale = scale as usize;
        if scale > 0 {
            let digits = text.len() - begin;
            if digits <= scale {
                let zeros = "0".repeat(scale + 1 - digits);
                text.insert_str(begin, &zeros);
            }
            text.insert(text.len() - scale, '.');
        }
        Ok(())
    }

    /// The integer that it is, if it is one of 64 bits.
    pub(crate) fn whole(self, text: &mut String) -> Result<Option<i64>, Rejection> {
        if self.scale == 0
            && let Some(i) = self.small()
        {
            return Ok(i64::try_from(i).ok());
        }
        text.clear();
        self.write(text)?;
        let (digits, rest) = text.split_once('.').unwrap_or((text, ""));
        let is_whole = rest.bytes().all(|digit| digit == b'0');
        Ok(if is_whole { digits.parse().ok() } else { None })
    }

    /// The float nearest to it.
    pub(crate) fn nearest(self, text: &mut String) -> Result<f64, Rejection> {
        // Both are exact, so the one division rounds once, to the nearest.
        if let Some(i) = self.small().filter(|i| i.abs() <= EXACT)
            && let Some(power) = usize::try_from(self.scale)
                .ok()
                .and_then(|scale| EXACT_POWERS.get(scale))
        {
            return Ok(i as f64 / power);
        }
        text.clear();
        self.write(text)?;
        Ok(text.parse().expect("digits are a number"))
    }

    /// The integer, if it has 128 bits at most.
    fn small(self) -> Option<i128> {
        let bytes = trimmed(self.bytes);
        if bytes.len() > 16 {
            return None;
        }
        let fill = if bytes.first().is_some_and(|first| *first >= 0x80) {
            0xFF
        } else {
            0
        };
        let mut wide = [fill; 16];
        wide[16 - bytes.len()..].copy_from_slice(bytes);
        Some(i128::from_be_bytes(wide))
    }

    fn checked(&self) -> Result<&[u8], Rejection> {
        let bytes = trimmed(self.bytes);
        if bytes.len() <= MOST_BYTES && self.scale.unsigned_abs() <= MOST_SCALE.unsigned_abs() {
            return Ok(bytes);
        }
        Err(Rejection::new(
            Reason::OutOfRange,
            format!(
                "the event holds a decimal of {} bytes and scale {}; {MOST_BYTES} bytes and a scale of {MOST_SCALE} are the \
                 most that is read",
                bytes.len(),
                self.scale
            ),
        ))
    }
}

/// Without leading bytes that only repeat the sign.
fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && let [second, ..] = rest
        && ((*first == 0 && *second < 0x80) || (*first == 0xFF && *second >= 0x80))
    {
        bytes = rest;
    }
    bytes
}

/// Appends the digits of the magnitude of an integer of at most [`MOST_BYTES`].
fn push_digits(text: &mut String, bytes: &[u8], is_negative: bool) {
    const GROUP: u64 = 1_000_000_000;
    // Groups of nine digits, the lowest first; 64 bytes have 155 digits.
    let mut groups = [0u32; 18];
    let mut used = 1;
    let mut push = |byte: u8| {
        let mut carry = u64::from(byte);
        for group in &mut groups[..used] {
            let value = u64::from(*group) * 256 + carry;
            *group = (value % GROUP) as u32;
            carry = value / GROUP;
        }
        if carry > 0 {
            groups[used] = carry as u32;
            used += 1;
        }
    };
    // The magnitude of a negative number is one more than its complement.
    bytes
        .iter()
        .for_each(|byte| push(if is_negative { !byte } else { *byte }));
    if is_negative {
        for group in &mut groups {
            *group += 1;
            if u64::from(*group) < GROUP {
                break;
            }
            *group = 0;
        }
    }
    let used = groups.iter().rposition(|group| *group != 0).map_or(1, |last| last + 1);
    let mut digits = itoa::Buffer::new();
    for (place, group) in groups[..used].iter().rev().enumerate() {
        let digits = digits.format(*group);
        if place > 0 {
            text.extend(std::iter::repeat_n('0', 9 - digits.len()));
        }
        text.push_str(digits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8], scale: i64) -> String {
        let mut text = String::new();
        Decimal { bytes, scale }.write(&mut text).unwrap();
        text
    }

    #[test]
    fn a_decimal_keeps_the_digits_of_its_scale() {
        assert_eq!(text(&[0x04, 0xCE], 2), "12.30");
        assert_eq!(text(&[0xFB, 0x32], 2), "-12.30");
        assert_eq!(text(&[5], 3), "0.005");
        assert_eq!(text(&[], 2), "0.00");
        assert_eq!(text(&[0], 0), "0");
        assert_eq!(text(&[0xFF], 0), "-1");
        assert_eq!(text(&[0x80], 0), "-128");
        assert_eq!(text(&[7], -3), "7000");
    }

    #[test]
    fn integers_of_64_bytes_are_written_and_longer_ones_refused() {
        let mut most = [0xFF; 64];
        most[0] = 0x7F;
        // 2^511 - 1, by Python.
        assert_eq!(
            text(&most, 0),
            "6703903964971298549787012499102923063739682910296196688861780721860882015036773488400937149083451713845015929093\
             243025426876941405973284973216824503042047"
        );
        let mut least = [0; 64];
        least[0] = 0x80;
        assert!(text(&least, 0).ends_with("042048"));
        let long = [0x7F; 65];
        let refused = Decimal { bytes: &long, scale: 0 }
            .write(&mut String::new())
            .unwrap_err();
        assert_eq!(refused.reason, Reason::OutOfRange);
        let refused = Decimal {
            bytes: &[1],
            scale: 1 << 40,
        }
        .write(&mut String::new())
        .unwrap_err();
        assert_eq!(refused.reason, Reason::OutOfRange);
    }

    #[test]
    fn whole_numbers_are_integers_and_others_are_not() {
        let whole = |bytes, scale| Decimal { bytes, scale }.whole(&mut String::new()).unwrap();
        assert_eq!(whole(&[0x04, 0xCE], 0), Some(1230));
        assert_eq!(whole(&[0x04, 0xB0], 2), Some(12));
        assert_eq!(whole(&[0x04, 0xCE], 2), None);
        assert_eq!(whole(&[0x7F; 9], 0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn property_text_and_float_are_those_of_the_integer(i in any::<i128>(), padding in 0..5usize, scale in 0..40usize) {
            let fill = if i < 0 { 0xFF } else { 0 };
            let bytes = [vec![fill; padding], i.to_be_bytes().to_vec()].concat();
            prop_assert_eq!(text(&bytes, 0), i.to_string());
            let decimal = Decimal { bytes: &bytes, scale: scale as i64 };
            let spelled = text(&bytes, scale as i64);
            prop_assert_eq!(spelled.replace('.', "").parse::<i128>().unwrap(), i);
            prop_assert_eq!(spelled.split_once('.').map_or(0, |(_, rest)| rest.len()), scale);
            let nearest = decimal.nearest(&mut String::new()).unwrap();
            prop_assert_eq!(nearest, format!("{i}e-{scale}").parse::<f64>().unwrap());
        }

        #[test]
        fn property_small_decimals_are_divided_to_the_nearest(i in -(1i64 << 53)..=(1i64 << 53), scale in 0..30i64) {
            let bytes = i.to_be_bytes();
            let nearest = Decimal { bytes: &bytes, scale }.nearest(&mut String::new()).unwrap();
            prop_assert_eq!(nearest, format!("{i}e-{scale}").parse::<f64>().unwrap());
        }
    }
}
