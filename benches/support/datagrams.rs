//! The system calls of the load and of the echo: many datagrams per call, several segments per datagram (UDP_SEGMENT,
//! UDP_GRO), and a source address of our own choice (IP_PKTINFO), so that one socket plays many clients. IPv4 only.
//!
//! # Why unsafe, and why it is sound
//!
//! The standard library has no recvmmsg, no sendmmsg and no control messages. Message headers hold raw pointers to the
//! buffers beside them; they are written anew for each call, and nothing moves between that and the call. Control
//! messages are read and written by the macros of the C library inside of aligned buffers.
#![allow(unsafe_code, dead_code)] // dead: each of the two programs uses a part

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::time::Duration;

use libc::{c_int, c_uint, cmsghdr, in_addr, in_pktinfo, iovec, mmsghdr, sockaddr_in};

/// Datagrams per call.
pub(crate) const BATCH: usize = 64;

/// Room for IP_PKTINFO and UDP_SEGMENT or UDP_GRO.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// What one receive call brought.
pub(crate) struct Incoming {
    octets: Vec<u8>,
    room: usize,
    lengths: [usize; BATCH],
    names: [sockaddr_in; BATCH],
    controls: [Control; BATCH],
    destinations: [Option<Ipv4Addr>; BATCH],
    segments: [usize; BATCH],
    with_controls: bool,
}

impl Incoming {
    /// Buffers for datagrams of up to `room` octets; `with_controls` if destinations or segments are asked for.
    pub(crate) fn new(room: usize, with_controls: bool) -> Self {
        Self {
            octets: vec![0; room * BATCH],
            room,
            lengths: [0; BATCH],
            names: [NO_NAME; BATCH],
            controls: [Control([0; 64]); BATCH],
            destinations: [None; BATCH],
            segments: [0; BATCH],
            with_controls,
        }
    }

    /// Receives what is there; waits for the first datagram if `wait`. Returns how many came.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, wait: bool) -> io::Result<usize> {
        let mut vectors = [EMPTY_VECTOR; BATCH];
        let mut headers = [EMPTY_HEADER; BATCH];
        for (vector, buffer) in vectors.iter_mut().zip(self.octets.chunks_exact_mut(self.room)) {
            *vector = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: self.room };
        }
        let parts = vectors.iter_mut().zip(&mut self.names).zip(&mut self.controls);
        for (header, ((vector, name), control)) in headers.iter_mut().zip(parts) {
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw mut *name).cast();
            header.msg_namelen = size_of::<sockaddr_in>() as u32;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            if self.with_controls {
                header.msg_control = control.0.as_mut_ptr().cast();
                header.msg_controllen = size_of::<Control>() as _;
            }
        }
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: the headers point to live buffers of the lengths that they say; BATCH of them.
        let count = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as c_uint, flags as _, null_mut())
        };
        let Ok(count) = usize::try_from(count) else { return nothing(io::Error::last_os_error()).map(|()| 0) };
        for (index, header) in headers[..count].iter().enumerate() {
            self.lengths[index] = (header.msg_len as usize).min(self.room);
            self.segments[index] = self.lengths[index];
            if self.with_controls {
                self.read_controls(index, &header.msg_hdr);
            }
        }
        Ok(count)
    }

    fn read_controls(&mut self, index: usize, header: &libc::msghdr) {
        self.destinations[index] = None;
        // SAFETY: the kernel wrote whole control messages into the buffer of this header, and the buffer lives.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(header);
            while let Some(found) = message.as_ref() {
                let data = libc::CMSG_DATA(message);
                match (found.cmsg_level, found.cmsg_type) {
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        let address = data.cast::<in_pktinfo>().read_unaligned().ipi_addr.s_addr;
                        self.destinations[index] = Some(u32::from_be(address).into());
                    }
                    (libc::SOL_UDP, libc::UDP_GRO) => {
                        self.segments[index] = data.cast::<c_int>().read_unaligned().max(1) as usize;
                    }
                    _ => {}
                }
                message = libc::CMSG_NXTHDR(header, message);
            }
        }
    }

    /// Who sent it.
    pub(crate) fn source(&self, index: usize) -> SocketAddrV4 {
        let name = &self.names[index];
        SocketAddrV4::new(u32::from_be(name.sin_addr.s_addr).into(), u16::from_be(name.sin_port))
    }

    /// Which address it was sent to.
    pub(crate) fn destination(&self, index: usize) -> Option<Ipv4Addr> {
        self.destinations[index]
    }

    /// Its octets.
    pub(crate) fn packet(&self, index: usize) -> &[u8] {
        &self.octets[index * self.room..][..self.lengths[index]]
    }

    /// The datagrams that the kernel put together into one.
    pub(crate) fn packets(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        self.packet(index).chunks(self.segments[index].max(1))
    }
}

/// One message of a send call.
struct Message {
    to: sockaddr_in,
    from: Option<Ipv4Addr>,
    segment: u16,
    pieces: Range<usize>,
}

/// What one send call takes. Octets are written by [`Outgoing::write`]; a message is made of pieces of them.
pub(crate) struct Outgoing {
    arena: Vec<u8>,
    end: usize,
    pieces: Vec<Range<usize>>,
    messages: Vec<Message>,
}

impl Outgoing {
    /// Room for `room` octets.
    pub(crate) fn new(room: usize) -> Self {
        Self { arena: vec![0; room], end: 0, pieces: Vec::with_capacity(BATCH), messages: Vec::with_capacity(BATCH) }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.end = 0;
        self.pieces.clear();
        self.messages.clear();
    }

    /// Room for `len` octets, and where they lie.
    pub(crate) fn write(&mut self, len: usize) -> (Range<usize>, &mut [u8]) {
        let range = self.end..self.end + len;
        self.end += len;
        (range.clone(), &mut self.arena[range])
    }

    /// Adds a message of the pieces; if it is more than one datagram, `segment` is the length of each.
    pub(crate) fn push(
        &mut self,
        to: SocketAddrV4,
        from: Option<Ipv4Addr>,
        segment: Option<usize>,
        pieces: impl IntoIterator<Item = Range<usize>>,
    ) {
        let start = self.pieces.len();
        self.pieces.extend(pieces);
        let pieces = start..self.pieces.len();
        self.messages.push(Message { to: name(to), from, segment: segment.unwrap_or(0) as u16, pieces });
    }

    /// Sends all messages; returns how many the kernel took.
    pub(crate) fn send(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let count = self.messages.len();
        assert!(count <= BATCH && self.pieces.len() <= BATCH, "one call sends at most {BATCH}");
        let mut vectors = [EMPTY_VECTOR; BATCH];
        let mut headers = [EMPTY_HEADER; BATCH];
        let mut controls = [Control([0; 64]); BATCH];
        for (vector, piece) in vectors.iter_mut().zip(&self.pieces) {
            let octets = &self.arena[piece.clone()];
            *vector = iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
        }
        for (message, (header, control)) in self.messages.iter().zip(headers.iter_mut().zip(&mut controls)) {
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw const message.to).cast_mut().cast();
            header.msg_namelen = size_of::<sockaddr_in>() as u32;
            header.msg_iov = vectors[message.pieces.start..].as_mut_ptr();
            header.msg_iovlen = message.pieces.len() as _;
            let used = control.fill(message);
            if used > 0 {
                header.msg_control = control.0.as_mut_ptr().cast();
                header.msg_controllen = used as _;
            }
        }
        let mut done = 0;
        while done < count {
            let rest = &mut headers[done..count];
            // SAFETY: the headers point to live buffers of the lengths that they say.
            let taken = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as c_uint, 0) };
            match usize::try_from(taken) {
                Ok(taken @ 1..) => done += taken,
                _ => match nothing(io::Error::last_os_error()) {
                    Ok(()) => return Ok(done),
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(done)
    }
}

impl Control {
    /// The control messages of a message; returns their length.
    fn fill(&mut self, message: &Message) -> usize {
        let mut used = 0;
        if let Some(from) = message.from {
            let local = in_addr { s_addr: u32::from(from).to_be() };
            let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: local };
            used += self.put(used, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        if message.segment > 0 {
            used += self.put(used, libc::SOL_UDP, libc::UDP_SEGMENT, message.segment);
        }
        used
    }

    fn put<T: Copy>(&mut self, at: usize, level: c_int, kind: c_int, value: T) -> usize {
        let size = size_of::<T>() as c_uint;
        // SAFETY: arithmetic on sizes only.
        let (space, length) = unsafe { (libc::CMSG_SPACE(size), libc::CMSG_LEN(size)) };
        let header = self.0[at..at + space as usize].as_mut_ptr().cast::<cmsghdr>();
        // SAFETY: there is space for the header and the value, and it is aligned.
        unsafe {
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = length as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        space as usize
    }
}

/// Sets the receive and send buffers as large as the system allows, or larger with the right to.
pub(crate) fn set_buffers(socket: &UdpSocket, octets: c_int) -> io::Result<()> {
    for (forced, option) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        if set_option(socket, libc::SOL_SOCKET, forced, octets).is_err() {
            set_option(socket, libc::SOL_SOCKET, option, octets)?;
        }
    }
    Ok(())
}

/// Asks for the destination of every datagram.
pub(crate) fn ask_for_destination(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
}

/// Lets the kernel hand out several datagrams as one.
pub(crate) fn accept_grouped(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Waits until a datagram is there or the time is over, exactly.
pub(crate) fn wait_for(socket: &UdpSocket, time: Duration) {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let time = libc::timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() };
    // SAFETY: one descriptor and a time that live; no signal mask. A signal or an error only ends the wait.
    unsafe { libc::ppoll(&raw mut poll, 1, &raw const time, std::ptr::null()) };
}

/// Makes waits of this thread end within a microsecond of their time.
pub(crate) fn wait_exactly() {
    // SAFETY: an option with a number.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000_u64) };
}

/// User and system seconds of this process.
pub(crate) fn own_cpu_seconds() -> f64 {
    // SAFETY: all zeroes is a usage, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn set_option(socket: &UdpSocket, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let value = &raw const value;
    // SAFETY: the option's value is an integer that lives, and its size is given.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.cast(), size_of::<c_int>() as u32) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether an error only says that there is nothing to do now.
fn nothing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

fn name(address: SocketAddrV4) -> sockaddr_in {
    sockaddr_in {
        sin_family: libc::AF_INET as _,
        sin_port: address.port().to_be(),
        sin_addr: in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

const NO_NAME: sockaddr_in =
    sockaddr_in { sin_family: 0, sin_port: 0, sin_addr: in_addr { s_addr: 0 }, sin_zero: [0; 8] };

const EMPTY_VECTOR: iovec = iovec { iov_base: null_mut(), iov_len: 0 };

// SAFETY: all zeroes is a message header of no address, no buffers and no control messages.
const EMPTY_HEADER: mmsghdr = unsafe { zeroed() };
