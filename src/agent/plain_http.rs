//! One HTTP/1.1 request over a connection that is there already: for HTTP checks, and for the agent's local socket.

use http_body_util::BodyExt;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    /// Status code.
    pub(super) status: u16,
    /// The beginning of the body, up to the limit.
    pub(super) body: Vec<u8>,
}

/// Sends `request` and reads at most `limit` octets of the body. The connection is driven by this call alone, and
/// ends with it.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<String>,
    limit: usize,
) -> Result<Answered, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    let asking = async move {
        let response = sender.send_request(request).await.map_err(words)?;
        let status = response.status().as_u16();
        let (mut body, mut text) = (response.into_body(), Vec::new());
        while text.len() < limit
            && let Some(frame) = body.frame().await
        {
            let frame = frame.map_err(words)?;
            let data = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
            text.extend_from_slice(&data[..data.len().min(limit - text.len())]);
        }
        Ok(Answered { status, body: text })
    };
    tokio::pin!(asking, connection);
    tokio::select! {
        biased;
        answered = &mut asking => answered,
        // The server has hung up, perhaps after it had said everything.
        _ = &mut connection => asking.await,
    }
}

/// The innermost cause, which says something.
fn words(error: hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
