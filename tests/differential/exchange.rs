//! Many questions to one server, several under way at a time.

#![allow(clippy::disallowed_methods)] // real servers live in real time

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::message::{Record, Response};
use crate::queries::Query;
use crate::types;

const UNDER_WAY: usize = 24;
const PATIENCE: Duration = Duration::from_secs(3);
const TRIES: usize = 4;

/// Asks everything and returns the answers in the order of the questions.
pub(crate) fn ask(server: SocketAddr, queries: &[Query]) -> Vec<Vec<u8>> {
    let mut answers = vec![Vec::new(); queries.len()];
    let (tcp, udp): (Vec<usize>, Vec<usize>) = (0..queries.len()).partition(|index| queries[*index].tcp);
    for chunk in udp.chunks(UNDER_WAY) {
        over_udp(server, queries, chunk, &mut answers);
    }
    for chunk in tcp.chunks(UNDER_WAY) {
        over_tcp(server, queries, chunk, &mut answers);
    }
    answers
}

fn id(index: usize) -> u16 {
    (index & 0xFFFF) as u16
}

/// Which of the questions under way an answer belongs to.
fn place(chunk: &[usize], answer: &[u8]) -> Option<usize> {
    let found = u16::from_be_bytes(*answer.first_chunk::<2>()?);
    chunk.iter().copied().find(|index| id(*index) == found)
}

fn over_udp(server: SocketAddr, queries: &[Query], chunk: &[usize], answers: &mut [Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a local port is free");
    socket.connect(server).expect("loopback is there");
    socket.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    let mut buffer = [0; 65_535];
    for _ in 0..TRIES {
        let missing: Vec<usize> = chunk.iter().copied().filter(|index| answers[*index].is_empty()).collect();
        for index in &missing {
            socket.send(&queries[*index].packet(id(*index))).expect("loopback takes a datagram");
        }
        let mut left = missing.len();
        while left > 0 {
            let Ok(length) = socket.recv(&mut buffer) else { break };
            let Some(index) = place(chunk, &buffer[..length]).filter(|index| answers[*index].is_empty()) else {
                continue;
            };
            answers[index] = buffer[..length].to_vec();
            left -= 1;
        }
        if left == 0 {
            return;
        }
    }
    let silent = chunk.iter().find(|index| answers[**index].is_empty()).expect("some answer is missing");
    panic!("{server} does not answer {}", queries[*silent].dig());
}

fn over_tcp(server: SocketAddr, queries: &[Query], chunk: &[usize], answers: &mut [Vec<u8>]) {
    let mut last = None;
    for _ in 0..TRIES {
        match one_connection(server, queries, chunk, answers) {
            Ok(()) => return,
            Err(error) => last = Some(error),
        }
    }
    let silent = chunk.iter().find(|index| answers[**index].is_empty()).expect("some answer is missing");
    panic!("{server} does not answer {}: {last:?}", queries[*silent].dig());
}

fn one_connection(server: SocketAddr, queries: &[Query], chunk: &[usize], answers: &mut [Vec<u8>]) -> io::Result<()> {
    let missing: Vec<usize> = chunk.iter().copied().filter(|index| answers[*index].is_empty()).collect();
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut octets = Vec::new();
    for index in &missing {
        let packet = queries[*index].packet(id(*index));
        octets.extend((packet.len() as u16).to_be_bytes());
        octets.extend(packet);
    }
    stream.write_all(&octets)?;
    for _ in 0..missing.len() {
        let answer = frame(&mut stream)?;
        if let Some(index) = place(chunk, &answer) {
            answers[index] = answer;
        }
    }
    Ok(())
}

fn frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Takes a whole zone over a connection of its own: messages until the SOA comes for the second time.
pub(crate) fn transfer(server: SocketAddr, query: &Query) -> Result<Vec<Record>, String> {
    let text = |error: io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    let packet = query.packet(1);
    stream.write_all(&[&(packet.len() as u16).to_be_bytes(), &packet[..]].concat()).map_err(text)?;
    let mut records: Vec<Record> = Vec::new();
    let is_soa = |record: &&Record| record.rtype == types::SOA;
    while records.iter().filter(is_soa).count() < 2 {
        let message = Response::parse(&frame(&mut stream).map_err(text)?)?;
        if message.rcode != 0 {
            return Err(format!("rcode {}", message.rcode));
        }
        records.extend(message.answer);
    }
    Ok(records)
}
