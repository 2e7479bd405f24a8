//! A server that speaks https, with a certificate that nobody knows: the one in `tls/`,
//! for `localhost` and 127.0.0.1, signed by itself and of no use anywhere else.
//!
//! ```text
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
//!   -keyout key.pem -out certificate.pem -days 36500 -subj /CN=lsrun-test \
//!   -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
//!   -addext basicConstraints=critical,CA:FALSE
//! ```

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::repository;

/// The file of the certificate.
pub(crate) fn certificate() -> PathBuf {
    repository().join("tests/support/tls/certificate.pem")
}

/// Answers every request with this, until the test ends. Returns its port.
pub(crate) fn serve(answer: &'static str) -> u16 {
    let certificate = CertificateDer::from_pem_file(certificate()).unwrap();
    let key = repository().join("tests/support/tls/key.pem");
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            let mut request = Vec::new();
            let mut byte = [0];
            // A client that does not trust the certificate goes away.
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|it| it > 0) {
                request.extend(byte);
            }
            let _gone = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _gone = stream.flush();
        }
    });
    port
}
