//! A connection can be made; and the connecting that the other network probes begin with.

use tokio::net::TcpStream;

use super::{Outcome, Target};

/// Connects and hangs up.
pub(super) async fn probe(target: &Target) -> Outcome {
    connect(target).await.map(|_| format!("connected to {target}"))
}

/// Connects to the first address that takes it.
pub(super) async fn connect(target: &Target) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
    let stream = stream.map_err(|error| format!("cannot connect to {target}: {}", words(&error)))?;
    // A small request must not wait for the acknowledgement of another one.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// An error of the network in the words that people know.
pub(super) fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}
