//! The system calls of the UDP path, with a safe interface: many datagrams per call, and the socket options that go
//! with them.
//!
//! # Shape
//!
//! [`Received`] holds one buffer of [`RECEIVE_SIZE`] octets per datagram, [`Replies`] one arena in which the replies of
//! a batch lie one behind the other: a batch of small replies stays in the cache, and a reply to the same client of the
//! same length is grouped with its predecessors into one message that the kernel cuts again (UDP_SEGMENT), which costs
//! one walk through its network stack instead of many. Both are made once per worker and never grow.
//!
//! # Why unsafe, and why it is sound
//!
//! The standard library has no recvmmsg, no sendmmsg and no control messages. The message headers that the kernel wants
//! hold raw pointers into the buffers beside them. As many as a call uses are written anew for it, from the buffers as
//! they are then, nothing moves or is borrowed between that and the call, and nobody reads them afterwards except for
//! the lengths that the kernel wrote, which are checked against the sizes of the buffers. Control messages are read and
//! written through the macros of the C library inside of buffers with their alignment.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::null_mut;

use libc::{
    c_int, c_uint, cmsghdr, in_pktinfo, in6_pktinfo, iovec, mmsghdr, sockaddr_in, sockaddr_in6, sockaddr_storage,
};

use socket2::{MsgHdr, SockRef};

use super::super::encode::MAX_UDP;

/// Datagrams per call.
pub(crate) use super::super::batch::BATCH;

/// Datagrams that a call asks for at least. It asks for twice as many as the one before it got, so that a quiet server
/// does not prepare a whole batch for each datagram.
const LEAST: usize = 8;

/// Octets of a datagram that are read: any query, and updates of some dozen records. What is cut off is malformed. Not
/// a multiple of 4,096, so that the buffers do not compete for the same cache lines.
const RECEIVE_SIZE: usize = 4096 + 64;
/// The longest reply that is grouped: the kernel refuses segments that do not fit the path's MTU, and this fits any.
const MAX_SEGMENT: usize = 1232;
/// Octets of one grouped message: what a datagram can have, headers included.
const MAX_GROUPED: usize = 65_000;
/// Batches that are sent without grouping after the kernel has refused it (a device without checksum offload, say).
const GROUPING_PAUSE: u32 = 1024;

/// Room for the control messages of one datagram: IPV6_PKTINFO and UDP_SEGMENT.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Whether [`Received::receive`] waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// For the first datagram, as long as the socket's receive timeout says.
    ForOne,
    /// Not at all.
    Never,
}

/// The datagrams of one batch.
pub(crate) struct Received {
    octets: Vec<u8>,
    lengths: [usize; BATCH],
    names: [sockaddr_storage; BATCH],
    sources: [Option<SocketAddr>; BATCH],
    destinations: [Option<IpAddr>; BATCH],
    controls: Box<[Control; BATCH]>,
    with_destination: bool,
    /// How many datagrams the next call asks for.
    wanted: usize,
    vectors: Vec<iovec>,
    headers: Vec<mmsghdr>,
}

impl Received {
    /// Buffers for a socket; `with_destination` if it has been given to [`ask_for_destination`].
    pub(crate) fn new(with_destination: bool) -> Self {
        Self {
            octets: vec![0; BATCH * RECEIVE_SIZE],
            lengths: [0; BATCH],
            // SAFETY: all zeroes is a socket address of no family.
            names: [unsafe { zeroed() }; BATCH],
            sources: [None; BATCH],
            destinations: [None; BATCH],
            controls: Box::new([Control([0; 64]); BATCH]),
            with_destination,
            wanted: BATCH,
            vectors: Vec::with_capacity(BATCH),
            headers: Vec::with_capacity(BATCH),
        }
    }

    /// Receives up to [`BATCH`] datagrams and returns how many; 0 when none came in time.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        self.prepare();
        let flags = if wait == Wait::ForOne { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        let headers = &mut self.headers;
        // SAFETY: the headers point to live buffers of the lengths that they say (see above); so many of them.
        let count = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as c_uint, flags as _, null_mut())
        };
        self.wanted = (2 * count.max(0) as usize).clamp(LEAST, BATCH);
        let Ok(count) = usize::try_from(count) else { return no_datagrams(io::Error::last_os_error()) };
        for (index, header) in headers[..count].iter().enumerate() {
            self.lengths[index] = (header.msg_len as usize).min(RECEIVE_SIZE);
            self.sources[index] = socket_address(&self.names[index]);
            self.destinations[index] = self.with_destination.then(|| destination(&header.msg_hdr)).flatten();
        }
        Ok(count)
    }

    /// Writes the headers of the next call.
    fn prepare(&mut self) {
        let buffers = self.octets.chunks_exact_mut(RECEIVE_SIZE).take(self.wanted);
        self.vectors.clear();
        self.vectors
            .extend(buffers.map(|buffer| iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: RECEIVE_SIZE }));
        self.headers.clear();
        let parts = self.vectors.iter_mut().zip(&mut self.names).zip(self.controls.iter_mut());
        self.headers.extend(parts.map(|((vector, name), control)| {
            let mut message = EMPTY_HEADER;
            let header = &mut message.msg_hdr;
            header.msg_name = (&raw mut *name).cast();
            header.msg_namelen = size_of::<sockaddr_storage>() as u32;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            if self.with_destination {
                header.msg_control = control.0.as_mut_ptr().cast();
                header.msg_controllen = size_of::<Control>() as _;
            }
            message
        }));
    }

    /// The octets of a datagram.
    pub(crate) fn packet(&self, index: usize) -> &[u8] {
        &self.octets[index * RECEIVE_SIZE..][..self.lengths[index]]
    }

    /// Who sent it; `None` for an address that is not IP.
    pub(crate) fn source(&self, index: usize) -> Option<SocketAddr> {
        self.sources[index]
    }

    /// Which of our addresses it was sent to, if the socket tells.
    pub(crate) fn destination(&self, index: usize) -> Option<IpAddr> {
        self.destinations[index]
    }
}

/// A receive call without a result: a timeout and a signal are no datagrams.
fn no_datagrams(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

/// One reply in the arena: to the sender of datagram `to`. `next` is the next reply of the same group.
#[derive(Clone, Copy, Default)]
struct Reply {
    to: usize,
    offset: usize,
    len: usize,
    next: Option<u8>,
}

/// Replies that go out as one message.
#[derive(Clone, Copy, Default)]
struct Group {
    first: u8,
    last: u8,
    count: u8,
}

/// What became of the replies of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Replies that the kernel took.
    pub(crate) replies: usize,
    /// Messages in which it took them; fewer than replies where they were grouped.
    pub(crate) messages: usize,
    /// Replies that it refused, say for want of a route.
    pub(crate) failed: usize,
}

/// The replies to one batch.
pub(crate) struct Replies {
    arena: Vec<u8>,
    end: usize,
    replies: [Reply; BATCH],
    count: usize,
    grouping_pause: u32,
    vectors: Vec<iovec>,
    headers: Vec<mmsghdr>,
}

impl Replies {
    /// An empty arena.
    pub(crate) fn new() -> Self {
        Self {
            arena: vec![0; BATCH * MAX_UDP],
            end: 0,
            replies: [Reply::default(); BATCH],
            count: 0,
            grouping_pause: 0,
            vectors: Vec::with_capacity(BATCH),
            headers: Vec::with_capacity(BATCH),
        }
    }

    /// Where the next reply is written: [`MAX_UDP`] octets, whose content is arbitrary.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.arena[self.end..][..MAX_UDP]
    }

    /// Takes the first `len` octets of [`Replies::buffer`] as the reply to datagram `to`. At most one per datagram.
    pub(crate) fn push(&mut self, to: usize, len: usize) {
        self.replies[self.count] = Reply { to, offset: self.end, len: len.min(MAX_UDP), next: None };
        self.end += len.min(MAX_UDP);
        self.count += 1;
    }

    /// Sends all replies, and forgets them.
    pub(crate) fn send(&mut self, socket: &UdpSocket, received: &mut Received) -> Sent {
        let grouped = self.grouping_pause == 0;
        let (groups, count) = self.group(received, grouped);
        let (mut sent, refused) = self.send_groups(socket, received, &groups[..count]);
        self.grouping_pause = self.grouping_pause.saturating_sub(1);
        if refused != [false; BATCH] {
            self.grouping_pause = GROUPING_PAUSE;
            let (singles, count) = self.singles(&groups, &refused);
            let (again, _) = self.send_groups(socket, received, &singles[..count]);
            sent.replies += again.replies;
            sent.messages += again.messages;
            sent.failed += again.failed;
        }
        (self.end, self.count) = (0, 0);
        sent
    }

    /// Puts replies of the same length between the same two addresses into one group, with the help of a small hash
    /// table of group numbers.
    fn group(&mut self, received: &Received, grouped: bool) -> ([Group; BATCH], usize) {
        const SLOTS: usize = 2 * BATCH;
        const FREE: u8 = u8::MAX;
        let mut groups = [Group::default(); BATCH];
        let mut slots = [FREE; SLOTS];
        let mut count = 0;
        for index in 0..self.count {
            let reply = self.replies[index];
            let mut slot = hash(received.sources[reply.to].as_ref(), reply.len) % SLOTS;
            while grouped && slots[slot] != FREE && !self.joins(reply, groups[usize::from(slots[slot])], received) {
                slot = (slot + 1) % SLOTS;
            }
            if !grouped || slots[slot] == FREE {
                slots[slot] = count as u8;
                groups[count] = Group { first: index as u8, last: index as u8, count: 1 };
                count += 1;
            } else {
                let group = &mut groups[usize::from(slots[slot])];
                self.replies[usize::from(group.last)].next = Some(index as u8);
                *group = Group { first: group.first, last: index as u8, count: group.count + 1 };
            }
        }
        (groups, count)
    }

    /// Whether `reply` may go out in one message with `group`.
    fn joins(&self, reply: Reply, group: Group, received: &Received) -> bool {
        let first = self.replies[usize::from(group.first)];
        reply.len == first.len
            && (1..=MAX_SEGMENT).contains(&reply.len)
            && (usize::from(group.count) + 1) * reply.len <= MAX_GROUPED
            && received.sources[reply.to] == received.sources[first.to]
            && received.destinations[reply.to] == received.destinations[first.to]
    }

    /// The replies of the refused groups, each for itself.
    fn singles(&mut self, groups: &[Group; BATCH], refused: &[bool; BATCH]) -> ([Group; BATCH], usize) {
        let mut singles = [Group::default(); BATCH];
        let mut count = 0;
        for (group, _) in groups.iter().zip(refused).filter(|(_, refused)| **refused) {
            let mut at = Some(group.first);
            while let Some(index) = at {
                singles[count] = Group { first: index, last: index, count: 1 };
                count += 1;
                at = self.replies[usize::from(index)].next.take();
            }
        }
        (singles, count)
    }

    /// Sends one message per group. The flags say which groups the kernel refused because they are groups.
    fn send_groups(&mut self, socket: &UdpSocket, received: &mut Received, groups: &[Group]) -> (Sent, [bool; BATCH]) {
        self.vectors.clear();
        self.headers.clear();
        for group in groups {
            let mut at = Some(group.first);
            while let Some(index) = at {
                let reply = self.replies[usize::from(index)];
                let octets = &self.arena[reply.offset..][..reply.len];
                self.vectors.push(iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: reply.len });
                at = reply.next;
            }
            let first = self.replies[usize::from(group.first)];
            let segment = (group.count > 1).then_some(first.len as u16);
            let mut header = EMPTY_HEADER;
            received.address(first.to, segment, &mut header.msg_hdr);
            self.headers.push(header);
        }
        let mut vector = self.vectors.as_mut_ptr();
        let (names, controls) = (received.names.as_mut_ptr(), received.controls.as_mut_ptr());
        for (group, header) in groups.iter().zip(&mut self.headers) {
            let header = &mut header.msg_hdr;
            let to = self.replies[usize::from(group.first)].to;
            header.msg_name = names.wrapping_add(to).cast();
            header.msg_iov = vector;
            header.msg_iovlen = usize::from(group.count) as _;
            if header.msg_controllen > 0 {
                header.msg_control = controls.wrapping_add(to).cast();
            }
            vector = vector.wrapping_add(usize::from(group.count));
        }
        send_all(socket, groups, &mut self.headers)
    }
}

/// A few bits that differ between clients and lengths.
fn hash(source: Option<&SocketAddr>, len: usize) -> usize {
    let (address, port) = match source {
        Some(SocketAddr::V4(v4)) => (u64::from(v4.ip().to_bits()), v4.port()),
        Some(SocketAddr::V6(v6)) => ((v6.ip().to_bits() >> 64) as u64 ^ v6.ip().to_bits() as u64, v6.port()),
        None => (0, 0),
    };
    let mixed = (address ^ u64::from(port) << 40 ^ (len as u64) << 24).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 48) as usize
}

/// Calls sendmmsg until the kernel has taken or refused each message, or has no room: it may have waited for that as
/// long as the socket's send timeout says, and must not do so again for each message, so the rest has failed.
fn send_all(socket: &UdpSocket, groups: &[Group], headers: &mut [mmsghdr]) -> (Sent, [bool; BATCH]) {
    let mut sent = Sent::default();
    let mut refused = [false; BATCH];
    let mut done = 0;
    while done < headers.len() {
        let rest = &mut headers[done..];
        // SAFETY: the headers point to live buffers of the lengths that they say (see above).
        let taken = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as c_uint, 0) };
        if let Ok(taken @ 1..) = usize::try_from(taken) {
            sent.messages += taken;
            sent.replies += groups[done..done + taken].iter().map(|group| usize::from(group.count)).sum::<usize>();
            done += taken;
            continue;
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => continue,
            Some(libc::EAGAIN | libc::ENOBUFS) => {
                sent.failed += groups[done..].iter().map(|group| usize::from(group.count)).sum::<usize>();
                break;
            }
            Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE) if groups[done].count > 1 => refused[done] = true,
            _ => sent.failed += usize::from(groups[done].count),
        }
        done += 1;
    }
    (sent, refused)
}

impl Received {
    /// Prepares a message to the sender of datagram `to`, from the address that it was sent to, cut into segments of
    /// `segment` octets: fills the control buffer of the datagram again, and writes the lengths into `header`.
    fn address(&mut self, to: usize, segment: Option<u16>, header: &mut libc::msghdr) {
        header.msg_namelen = match self.sources[to] {
            Some(SocketAddr::V6(_)) => size_of::<sockaddr_in6>(),
            _ => size_of::<sockaddr_in>(),
        } as u32;
        if segment.is_none() && self.destinations[to].is_none() {
            return;
        }
        let control = &mut self.controls[to];
        control.0.fill(0);
        let mut used = self.destinations[to].map_or(0, |from| put_source(control, from));
        if let Some(segment) = segment {
            used += put_control(control, used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
        header.msg_controllen = used as _;
    }
}

/// Sends one message to `to`, from the address of ours that it was asked at if that is known: for what is answered when
/// its batch is over. Does not wait.
pub(crate) fn send_one(socket: &UdpSocket, octets: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
    let mut control = Control([0; 64]);
    let used = from.map_or(0, |from| put_source(&mut control, from));
    let (to, octets) = (to.into(), [io::IoSlice::new(octets)]);
    let message = MsgHdr::new().with_addr(&to).with_buffers(&octets).with_control(&control.0[..used]);
    SockRef::from(socket).sendmsg(&message, libc::MSG_DONTWAIT).map(drop)
}

/// Writes at the start the control message that says which address of ours a message goes from, and returns the room it
/// takes.
fn put_source(control: &mut Control, from: IpAddr) -> usize {
    match from {
        IpAddr::V4(from) => {
            let local = libc::in_addr { s_addr: u32::from(from).to_be() };
            let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: local };
            put_control(control, 0, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        IpAddr::V6(from) => {
            let info = in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: from.octets() }, ipi6_ifindex: 0 };
            put_control(control, 0, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

/// Writes one control message at `at` and returns the room it takes.
fn put_control<T: Copy>(control: &mut Control, at: usize, level: c_int, kind: c_int, value: T) -> usize {
    let size = size_of::<T>() as c_uint;
    // SAFETY: arithmetic on sizes only.
    let (space, length) = unsafe { (libc::CMSG_SPACE(size), libc::CMSG_LEN(size)) };
    let room = &mut control.0[at..at + space as usize];
    let header = room.as_mut_ptr().cast::<cmsghdr>();
    // SAFETY: `room` has space for the header and the value. It is aligned: the buffer is, and CMSG_SPACE is rounded
    // up.
    unsafe {
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = length as _;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
    }
    space as usize
}

/// The address that the kernel wrote as the source of a datagram.
fn socket_address(name: &sockaddr_storage) -> Option<SocketAddr> {
    let pointer = &raw const *name;
    match c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the storage has room and alignment for every address, and this one is of its family.
            let v4 = unsafe { &*pointer.cast::<sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*pointer.cast::<sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The address that a datagram was sent to, from its control messages.
fn destination(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the kernel wrote whole control messages into the buffer of this header and their length into the header,
    // and the buffer lives; the macros stay inside of it.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = message.as_ref() {
            let data = libc::CMSG_DATA(message);
            match (found.cmsg_level, found.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<in_pktinfo>().read_unaligned();
                    return Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<in6_pktinfo>().read_unaligned();
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    None
}

/// Lets the socket tell which of our addresses each datagram was sent to: for sockets on the wildcard address.
pub(crate) fn ask_for_destination(socket: &impl AsFd, v6: bool) -> io::Result<()> {
    match v6 {
        true => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
        false => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
    }
}

/// Sends without regard to what ICMP says about the path's MTU, which anybody can forge to make us send fragments.
pub(crate) fn ignore_path_mtu(socket: &impl AsFd, v6: bool) -> io::Result<()> {
    match v6 {
        true => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
        false => set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
    }
}

/// Sets the buffers of a socket beyond the limit of the system, which needs CAP_NET_ADMIN.
pub(crate) fn force_buffers(socket: &impl AsFd, receive: usize, send: usize) -> io::Result<()> {
    let octets = |size| c_int::try_from(size).unwrap_or(c_int::MAX);
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets(receive))?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, octets(send))
}

/// How full the receive queue of a socket is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Octets that wait, with what the kernel needs to keep them.
    pub(crate) waiting: u32,
    /// Octets that may wait.
    pub(crate) room: u32,
    /// Datagrams that were lost since the socket was opened, because there was no room or a filter took them.
    pub(crate) lost: u32,
}

/// Looks at the receive queue of a socket.
pub(crate) fn queue(socket: &impl AsFd) -> io::Result<Queue> {
    /// `SK_MEMINFO_RMEM_ALLOC`, `SK_MEMINFO_RCVBUF` and `SK_MEMINFO_DROPS` of
    /// linux/sock_diag.h, and how many there are.
    const NUMBERS: usize = 9;
    let mut numbers = [0_u32; NUMBERS];
    let mut size = size_of_val(&numbers) as u32;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the buffer lives, and its size is given.
    match unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, numbers.as_mut_ptr().cast(), &raw mut size)
    } {
        0 => Ok(Queue { waiting: numbers[0], room: numbers[1], lost: numbers[8] }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_option(socket: &impl AsFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let value = &raw const value;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the option's value is an integer that lives, and its size is given.
    match unsafe { libc::setsockopt(fd, level, option, value.cast(), size_of::<c_int>() as u32) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

// SAFETY: all zeroes is a message header of no address, no buffers and no control messages.
const EMPTY_HEADER: mmsghdr = unsafe { zeroed() };

#[cfg(test)]
mod tests;
