//! Who may change something: whoever knows the token, from an address that has not guessed too often.
//!
//! Owns: the digest of the token, and the failed attempts of each address.
//! Never does: keep the token, or say how wrong a guess was; the comparison takes the same time for every guess.
//!
//! Invariant: without a configured token nobody may change anything.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A shorter token could be guessed.
pub(super) const LEAST_TOKEN_BYTES: usize = 32;
/// Failed attempts are counted for so long.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose attempts are counted; beyond, the one that failed first is forgotten.
pub(super) const ADDRESSES: usize = 1024;

/// Why a change is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// There is no token.
    Closed,
    /// Too many failed attempts; so long until the next one.
    TooOften(Duration),
    /// No token was shown, or another one.
    Wrong,
}

#[derive(Debug)]
pub(super) struct Guard {
    token: Option<[u8; 32]>,
    most_attempts: u32,
    /// Failed attempts of each [`origin`], and when the first of them was.
    attempts: Mutex<BTreeMap<IpAddr, (u32, Instant)>>,
}

impl Guard {
    /// `token` is the text of the token.
    pub(super) fn new(token: Option<&str>, most_attempts: u32) -> Self {
        Self {
            token: token.map(digest),
            most_attempts,
            attempts: Mutex::default(),
        }
    }

    pub(super) fn admit(&self, headers: &HeaderMap, from: IpAddr, now: Instant) -> Result<(), Denied> {
        let token = self.token.ok_or(Denied::Closed)?;
        let from = origin(from);
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((failed, since)) = attempts.get(&from).copied() {
            let left = WINDOW.saturating_sub(now.saturating_duration_since(since));
            if left.is_zero() {
                attempts.remove(&from);
            } else if failed >= self.most_attempts {
                return Err(Denied::TooOften(left));
            }
        }
        // Who shows none guesses nothing.
        let shown = shown(headers).ok_or(Denied::Wrong)?;
        // Digests have one length, so the comparison tells nothing about the length of the token either.
        if digest(shown).ct_eq(&token).into() {
            return Ok(());
        }
        if attempts.len() >= ADDRESSES && !attempts.contains_key(&from) {
            let first = attempts.iter().min_by_key(|(_, (_, since))| *since);
            if let Some(first) = first.map(|(address, _)| *address) {
                attempts.remove(&first);
            }
        }
        attempts.entry(from).or_insert((0, now)).0 += 1;
        Err(Denied::Wrong)
    }
}

/// Whose attempts count together: a host has one address of IPv4, and of IPv6 a network of 64 bits at least.
pub(super) fn origin(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token of `Authorization: Bearer …`.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse-battery-staple-0123456789";

    fn headers(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, authorization.parse().expect("a header's value"))])
    }

    fn address(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        IpAddr::from([127, 0, high, low])
    }

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        let guard = Guard::new(Some(TOKEN), 100);
        let admit = |authorization: &str| guard.admit(&headers(authorization), address(1), Instant::now());
        for right in [format!("Bearer {TOKEN}"), format!("bearer  {TOKEN}")] {
            assert_eq!(admit(&right), Ok(()), "{right}");
        }
        let short = &TOKEN[..TOKEN.len() - 1];
        for wrong in [
            "Bearer",
            "Bearer ",
            TOKEN,
            &format!("Basic {TOKEN}"),
            &format!("Bearer {short}"),
            &format!("Bearer {TOKEN}x"),
            &format!("Bearer {}", TOKEN.to_uppercase()),
        ] {
            assert_eq!(admit(wrong), Err(Denied::Wrong), "{wrong}");
        }
        let none = guard.admit(&HeaderMap::new(), address(1), Instant::now());
        assert_eq!(none, Err(Denied::Wrong));
    }

    #[test]
    fn without_a_token_nothing_opens() {
        let guard = Guard::new(None, 100);
        let admitted = guard.admit(&headers("Bearer "), address(1), Instant::now());
        assert_eq!(admitted, Err(Denied::Closed));
    }

    #[test]
    fn who_guesses_too_often_waits_even_with_the_right_token_and_others_do_not() {
        let guard = Guard::new(Some(TOKEN), 3);
        let start = Instant::now();
        let right = headers(&format!("Bearer {TOKEN}"));
        for _ in 0..3 {
            assert_eq!(
                guard.admit(&headers("Bearer guess"), address(1), start),
                Err(Denied::Wrong)
            );
        }
        let later = start + Duration::from_secs(20);
        let left = Duration::from_secs(40);
        assert_eq!(guard.admit(&right, address(1), later), Err(Denied::TooOften(left)));
        assert_eq!(guard.admit(&right, address(2), later), Ok(()));
        assert_eq!(guard.admit(&right, address(1), start + WINDOW), Ok(()));
    }

    #[test]
    fn who_shows_no_token_has_guessed_nothing() {
        let guard = Guard::new(Some(TOKEN), 1);
        let now = Instant::now();
        for nothing in [
            HeaderMap::new(),
            headers("Bearer"),
            headers("Bearer "),
            headers("Basic abc"),
        ] {
            assert_eq!(guard.admit(&nothing, address(1), now), Err(Denied::Wrong));
        }
        let right = headers(&format!("Bearer {TOKEN}"));
        assert_eq!(guard.admit(&right, address(1), now), Ok(()));
    }

    #[test]
    fn guesses_from_one_network_of_ipv6_count_together_and_those_of_ipv4_by_address() {
        let guard = Guard::new(Some(TOKEN), 1);
        let now = Instant::now();
        let guess = |from: &str| guard.admit(&headers("Bearer guess"), from.parse().expect("an address"), now);
        for (first, same, other) in [
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
            // As a listener on `[::]` sees IPv4.
            ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"),
        ] {
            assert_eq!(guess(first), Err(Denied::Wrong));
            assert!(matches!(guess(same), Err(Denied::TooOften(_))), "{same}");
            assert_eq!(guess(other), Err(Denied::Wrong), "{other}");
        }
    }

    #[test]
    fn the_addresses_that_are_remembered_are_limited() {
        let guard = Guard::new(Some(TOKEN), 1);
        let start = Instant::now();
        for number in 0..2 * ADDRESSES as u16 {
            let now = start + Duration::from_millis(u64::from(number));
            let denied = guard.admit(&headers("Bearer guess"), address(number), now);
            assert_eq!(denied, Err(Denied::Wrong), "{number}");
        }
        assert_eq!(guard.attempts.lock().expect("nobody panicked").len(), ADDRESSES);
    }
}
