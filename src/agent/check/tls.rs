//! TLS of HTTPS and gRPC probes.
//!
//! A check asks whether the service on this host works, and most ask 127.0.0.1, which no certificate names; so a
//! certificate is verified only when the check names the authorities (`ca`). Without, TLS has to be spoken, no more.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::spec::TlsProbe;

/// A TLS connection over `stream`, for one of these protocols by their names in ALPN.
pub(super) async fn connect(
    stream: TcpStream,
    probe: &TlsProbe,
    protocols: &[&[u8]],
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(probe.server_name.clone())
        .map_err(|_| format!("\"{}\" is not a name for TLS; set server_name", probe.server_name))?;
    let mut configuration = configuration(probe)?;
    configuration.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(configuration));
    connector.connect(name, stream).await.map_err(|error| format!("TLS failed: {error}"))
}

fn configuration(probe: &TlsProbe) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = match &probe.ca {
        Some(path) => {
            let wrong = |error: &dyn std::fmt::Display| format!("ca \"{}\": {error}", path.display());
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
                let certificate = certificate.map_err(|error| wrong(&error))?;
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    };
    Ok(builder.with_no_client_auth())
}

/// Takes every certificate; the handshake's signatures have to be right all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
