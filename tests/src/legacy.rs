//! A server that speaks no newer version of TLS than 1.1, which nobody should speak any more.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslContextBuilder, SslMethod, SslVersion};

use crate::certificates::{Authority, Validity};

/// The server. Its thread ends with the process.
#[derive(Debug)]
pub struct Server {
    address: String,
}

impl Server {
    /// Starts it, with a certificate that is in order.
    pub fn start(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound address").to_string();
        let identity = authority.issue("legacy", &["127.0.0.1"], Validity::Now);
        let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).expect("an acceptor");
        careless(&mut acceptor);
        acceptor.set_certificate(identity.certificate()).expect("a certificate");
        acceptor.set_private_key(identity.key()).expect("a key");
        let acceptor = Arc::new(acceptor.build());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that refuses is what the tests look for.
                acceptor.accept(stream).ok();
            }
        });
        Self { address }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Whether a client that takes everything can speak with it.
    pub fn shook_hands_with_a_careless_client(&self) -> bool {
        let mut context = SslContext::builder(SslMethod::tls_client()).expect("a context");
        careless(&mut context);
        let ssl = Ssl::new(&context.build()).expect("a connection");
        let stream = TcpStream::connect(&self.address).expect("it listens");
        ssl.connect(stream).is_ok()
    }
}

fn careless(context: &mut SslContextBuilder) {
    context.set_security_level(0);
    context.set_cipher_list("ALL:@SECLEVEL=0").expect("ciphers");
    context.clear_options(openssl::ssl::SslOptions::NO_TLSV1_1);
    context
        .set_min_proto_version(Some(SslVersion::TLS1_1))
        .expect("a version");
    context
        .set_max_proto_version(Some(SslVersion::TLS1_1))
        .expect("a version");
}
