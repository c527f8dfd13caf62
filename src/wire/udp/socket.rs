//! The sockets of the UDP workers.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::batch::{ask_for_destination, force_buffers, ignore_path_mtu};
use super::worker::NOTICE;

/// Room for a burst that comes: 40,000 small queries. The default of Linux holds 256. What a flood fills before it is
/// noticed must not be all there is.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Room for answers that wait for the network.
const SEND_BUFFER: usize = 4 << 20;

/// Fails if anybody else, another process of ours included, holds the address: SO_REUSEPORT alone would share it.
pub(in crate::wire) fn probe(address: SocketAddr) -> io::Result<()> {
    new(address)?.bind(&address.into())
}

/// Binds one of the sockets that share `address`.
pub(in crate::wire) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new(address)?;
    socket.set_reuse_port(true)?;
    if force_buffers(&socket, RECEIVE_BUFFER, SEND_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
    }
    socket.set_read_timeout(Some(NOTICE))?;
    socket.set_write_timeout(Some(NOTICE))?;
    ignore_path_mtu(&socket, address.is_ipv6())?;
    if address.ip().is_unspecified() {
        ask_for_destination(&socket, address.is_ipv6())?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn new(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // 0.0.0.0 and [::] are two addresses to listen on
    }
    Ok(socket)
}
