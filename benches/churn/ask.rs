//! Small questions: one over HTTP, and A records over UDP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use tokio::net::UdpSocket;

/// Sends a request that closes its connection; returns everything that comes back.
pub(crate) fn http(server: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.write_all(request.as_bytes()).expect("the request is taken");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the reply is text");
    text
}

/// A question for A records of a name.
pub(crate) fn question(name: &str, id: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// The first address of an answer, which has its only name in the question.
pub(crate) fn first_address(question: &[u8], answer: &[u8]) -> Option<Ipv4Addr> {
    if answer.len() < question.len() + 16 || u16::from_be_bytes([answer[6], answer[7]]) == 0 {
        return None;
    }
    let data: [u8; 4] = answer[question.len() + 12..question.len() + 16].try_into().ok()?;
    Some(data.into())
}

/// Asks once; `Err` if no answer came within a second.
pub(crate) async fn address(socket: &UdpSocket, question: &[u8]) -> Result<Option<Ipv4Addr>, ()> {
    let mut answer = [0; 512];
    socket.send(question).await.map_err(|_| ())?;
    let received = tokio::time::timeout(Duration::from_secs(1), socket.recv(&mut answer)).await;
    let length = received.map_err(|_| ())?.map_err(|_| ())?;
    Ok(first_address(question, &answer[..length]))
}

/// A socket that talks to the server only.
pub(crate) async fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(server).await.expect("loopback");
    socket
}
