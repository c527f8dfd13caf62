//! The clients of hickory, which we did not write.

use std::time::Duration;

use futures_util::StreamExt;
use hickory_proto::op::{DnsRequestOptions, Query};
use hickory_proto::rr::RecordType;
use hickory_server::net::DnsHandle;
use hickory_server::net::quic::QuicClientStream;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::net::tls::tls_exchange;
use hickory_server::net::xfer::DnsExchange;
use rustls::pki_types::ServerName;

use super::identity::HOST;
use super::wire::{HUGE, PATIENCE, Wire, soon};

type Exchange = DnsExchange<TokioRuntimeProvider>;

async fn answers(exchange: &Exchange, name: &str) -> usize {
    let query = Query::query(name.parse().unwrap(), RecordType::A);
    let mut responses = exchange.lookup(query, DnsRequestOptions::default());
    soon("an answer", responses.next()).await.unwrap().unwrap().answers.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn hickory_asks_over_tls_and_quic() {
    let wire = Wire::start().await;
    let name = ServerName::try_from(HOST).unwrap();
    let config = wire.identity.client(&[b"dot"]);
    let provider = TokioRuntimeProvider::default(); // has the tasks of its connections, and ends them with itself
    let tls = tls_exchange(wire.tls(), name, config, PATIENCE, None, provider.clone()).await.unwrap();
    let config = wire.identity.client(&[b"doq"]);
    let quic = QuicClientStream::builder().crypto_config(config).build(wire.quic(), HOST.into()).await.unwrap();
    let (quic, background) = Exchange::from_stream(quic);
    tokio::spawn(background);
    for exchange in [tls, quic] {
        for _ in 0..20 {
            assert_eq!(answers(&exchange, "host7.sd.example.org.").await, 1);
        }
        assert_eq!(answers(&exchange, "huge.sd.example.org.").await, HUGE);
    }
    assert!(wire.join().await < Duration::from_secs(4));
}
