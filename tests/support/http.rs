//! A tiny HTTP/1.1 client: one request per connection, so that a test sees exactly the octets that came back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header fields with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON; `null` if it is empty.
    pub fn json(&self) -> serde_json::Value {
        if self.body.is_empty() {
            return serde_json::Value::Null;
        }
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The stable word of a problem document: the end of its `type`.
    pub fn word(&self) -> String {
        let json = self.json();
        let kind = json["type"].as_str().unwrap_or_else(|| panic!("not a problem document: {json}"));
        kind.rsplit(['/', ':', '#']).next().unwrap_or(kind).to_owned()
    }
}

/// Sends one request and reads the whole reply. A body is sent as JSON unless a header says otherwise.
pub fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: Option<&[u8]>,
) -> io::Result<Reply> {
    let mut reader = open(server, method, path, headers, body)?;
    let (status, headers) = read_head(&mut reader)?;
    let mut reply = Reply { status, headers, body: Vec::new() };
    if reply.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        while let Some(chunk) = read_chunk(&mut reader)? {
            reply.body.extend(chunk);
        }
    } else if let Some(length) = reply.header("content-length").and_then(|text| text.parse().ok()) {
        reply.body = vec![0; length];
        reader.read_exact(&mut reply.body)?;
    } else {
        reader.read_to_end(&mut reply.body)?;
    }
    Ok(reply)
}

/// Events of `GET` on a stream of server-sent events, as they come: the text of each `data:` line.
pub fn events(server: SocketAddr, path: &str) -> io::Result<impl Iterator<Item = String> + use<>> {
    let mut reader = open(server, "GET", path, &[("accept", "text/event-stream".to_owned())], None)?;
    let (status, headers) = read_head(&mut reader)?;
    assert_eq!(status, 200, "{headers:?}");
    let mut text = String::new();
    Ok(std::iter::from_fn(move || {
        loop {
            if let Some((line, rest)) = text.split_once('\n') {
                let data = line.strip_prefix("data:").map(|data| data.trim().to_owned());
                text = rest.to_owned();
                match data {
                    Some(data) => return Some(data),
                    None => continue,
                }
            }
            let chunk = read_chunk(&mut reader).ok()??;
            text.push_str(std::str::from_utf8(&chunk).expect("events are text"));
        }
    }))
}

fn open(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: Option<&[u8]>,
) -> io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            head.push_str("content-type: application/json\r\n");
        }
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // A server may refuse a large body before it has read it all: its reply counts, not our failed write.
    let _ = stream.write_all(body.unwrap_or_default());
    Ok(BufReader::new(stream))
}

fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let bad = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP reply: {line:?}"));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| bad(&line))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None if line.trim_end().is_empty() => return Ok((status, headers)),
            None => return Err(bad(&line)),
        }
    }
}

fn read_chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let size = line.trim_end().split(';').next().unwrap_or_default();
    let Ok(size @ 1..) = usize::from_str_radix(size, 16) else { return Ok(None) };
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok(Some(chunk))
}
