//! Certificates for tests: an authority of a test's own, and what it signs.

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameRef};

const DAY: i64 = 24 * 60 * 60;

/// Who vouches.
#[derive(Debug)]
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Yesterday to the day after tomorrow.
    Now,
    /// Until yesterday.
    Over,
    /// Yesterday to a month from now.
    Long,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    /// A new authority, which nobody trusts yet.
    pub fn new(name: &str) -> Self {
        let key = key();
        let name = distinguished(name);
        let mut builder = builder(&name, &key, Validity::Now);
        builder.set_issuer_name(&name).expect("an issuer");
        let basic = BasicConstraints::new().critical().ca().build();
        builder.append_extension(basic.expect("constraints")).expect("room");
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build();
        builder.append_extension(usage.expect("a usage")).expect("room");
        builder.sign(&key, MessageDigest::sha256()).expect("a signature");
        Self {
            certificate: builder.build(),
            key,
        }
    }

    /// Its certificate, as a file of trusted authorities holds it.
    pub fn pem(&self) -> String {
        text(self.certificate.to_pem())
    }

    /// A certificate for a server under these host names and addresses, or for a client when there are none.
    pub fn issue(&self, name: &str, hosts: &[&str], validity: Validity) -> Identity {
        let key = key();
        let mut builder = builder(&distinguished(name), &key, validity);
        builder
            .set_issuer_name(self.certificate.subject_name())
            .expect("an issuer");
        let usage = if hosts.is_empty() {
            ExtendedKeyUsage::new().client_auth().build()
        } else {
            ExtendedKeyUsage::new().server_auth().build()
        };
        builder.append_extension(usage.expect("a usage")).expect("room");
        if !hosts.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for host in hosts {
                if host.parse::<std::net::IpAddr>().is_ok() {
                    names.ip(host);
                } else {
                    names.dns(host);
                }
            }
            let context = builder.x509v3_context(Some(&self.certificate), None);
            let names = names.build(&context).expect("host names");
            builder.append_extension(names).expect("room");
        }
        builder.sign(&self.key, MessageDigest::sha256()).expect("a signature");
        Identity {
            certificate: builder.build(),
            key,
        }
    }
}

impl Identity {
    /// The certificate itself.
    pub fn certificate(&self) -> &X509 {
        &self.certificate
    }

    /// The key itself.
    pub fn key(&self) -> &PKey<Private> {
        &self.key
    }

    /// The certificate.
    pub fn certificate_pem(&self) -> String {
        text(self.certificate.to_pem())
    }

    /// The key, in the open.
    pub fn key_pem(&self) -> String {
        text(self.key.private_key_to_pem_pkcs8())
    }

    /// The key, under a password.
    pub fn key_pem_under(&self, password: &str) -> String {
        let cipher = Cipher::aes_256_cbc();
        text(
            self.key
                .private_key_to_pem_pkcs8_passphrase(cipher, password.as_bytes()),
        )
    }
}

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a known curve");
    PKey::from_ec_key(EcKey::generate(&curve).expect("a key")).expect("a key")
}

fn distinguished(name: &str) -> X509Name {
    let mut builder = X509Name::builder().expect("a name");
    builder
        .append_entry_by_nid(Nid::ORGANIZATIONNAME, "Eddy tests")
        .expect("an organisation");
    builder.append_entry_by_nid(Nid::COMMONNAME, name).expect("a name");
    builder.build()
}

fn builder(name: &X509NameRef, key: &PKey<Private>, validity: Validity) -> X509Builder {
    let mut builder = X509::builder().expect("a builder");
    builder.set_version(2).expect("version 3");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(127, MsbOption::MAYBE_ZERO, false).expect("a random number");
    let serial = Asn1Integer::from_bn(&serial).expect("a number");
    builder.set_serial_number(&serial).expect("a serial number");
    builder.set_subject_name(name).expect("a subject");
    builder.set_pubkey(key).expect("a key");
    let (from, until) = match validity {
        Validity::Now => (-DAY, 2 * DAY),
        Validity::Over => (-9 * DAY, -DAY),
        Validity::Long => (-DAY, 31 * DAY),
    };
    builder.set_not_before(&day(from)).expect("a time");
    builder.set_not_after(&day(until)).expect("a time");
    builder
}

fn day(seconds_from_now: i64) -> Asn1Time {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs() as i64;
    Asn1Time::from_unix(now + seconds_from_now).expect("a time")
}

fn text(pem: Result<Vec<u8>, openssl::error::ErrorStack>) -> String {
    String::from_utf8(pem.expect("it can be written")).expect("PEM is text")
}
