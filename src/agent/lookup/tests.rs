use super::*;

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect(text)
}

/// A reply to `query` with these SRV endpoints; owner names are pointers to the question.
fn reply(query: &[u8], flags: u16, endpoints: &[(u16, &str)]) -> Vec<u8> {
    let question_end = query.len() - 11;
    let mut message = query[..question_end].to_vec();
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[6..8].copy_from_slice(&(endpoints.len() as u16).to_be_bytes());
    message[10..12].copy_from_slice(&[0, 0]);
    for (port, target) in endpoints {
        let target = name(target);
        message.extend_from_slice(&[0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 30]);
        message.extend_from_slice(&(6 + target.as_wire().len() as u16).to_be_bytes());
        message.extend_from_slice(&[0, 10, 0, 100]);
        message.extend_from_slice(&port.to_be_bytes());
        message.extend_from_slice(target.as_wire());
    }
    message
}

fn wanted() -> Wanted {
    Wanted { port: 8080, targets: vec![name("a1.search.sd.example.org")] }
}

#[test]
fn a_query_is_one_question_and_an_opt() {
    let query = encode(0x1234, &name("_a._tcp.b."));
    let expected = b"\x12\x34\0\0\0\x01\0\0\0\0\0\x01\x02_a\x04_tcp\x01b\0\0\x21\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";
    assert_eq!(query, expected);
}

#[test]
fn port_and_target_decide() {
    let query = encode(7, &name("_search._tcp.sd.example.org"));
    let has = |endpoints: &[(u16, &str)]| decode(7, &reply(&query, 0x8400, endpoints)).expect("reply").has(&wanted());
    assert!(has(&[(1, "a2.search.sd.example.org"), (8080, "A1.search.sd.example.org")]));
    assert!(!has(&[(8081, "a1.search.sd.example.org"), (8080, "a2.search.sd.example.org")]));
    assert!(!has(&[]));
}

#[test]
fn compressed_targets_are_read() {
    let query = encode(7, &name("_search._tcp.sd.example.org"));
    let mut message = reply(&query, 0x8400, &[]);
    message[7] = 1;
    message.extend_from_slice(b"\xc0\x0c\0\x21\0\x01\0\0\0\x1e\0\x12\0\x0a\0\x64\x1f\x90\x02a1\x06search\xc0\x19");
    assert!(decode(7, &message).expect("reply").has(&wanted()));
}

#[test]
fn what_is_not_a_reply_is_none() {
    let query = encode(7, &name("_search._tcp.sd.example.org"));
    let good = reply(&query, 0x8400, &[(8080, "a1.search.sd.example.org")]);
    assert_eq!(decode(8, &good), None, "another id");
    assert_eq!(decode(7, &query), None, "a query");
    for len in 0..good.len() {
        assert_eq!(decode(7, &good[..len]), None, "cut after {len}");
    }
    let mut pointer_loop = good;
    pointer_loop[12..14].copy_from_slice(&[0xc0, 12]);
    assert_eq!(decode(7, &pointer_loop), None);
}

#[test]
fn the_plan_asks_for_sets_and_looks_for_hosts() {
    let names = [
        "_services._dns-sd._udp.sd.example.org.",
        "_canary._sub._search._tcp.sd.example.org.",
        "_search._tcp.sd.example.org.",
        "_search._tcp.lon.sd.example.org.",
        "search.sd.example.org.",
        "a1.search.sd.example.org.",
    ]
    .map(String::from);
    let (sets, wanted) = plan(&names, "a1", 8080, "tcp", None);
    assert_eq!(sets, [name("_search._tcp.sd.example.org"), name("_search._tcp.lon.sd.example.org")]);
    assert_eq!(wanted.targets, [name("a1.search.sd.example.org")]);
    let host = name("host7.example.org");
    assert_eq!(plan(&names, "a1", 8080, "tcp", Some(&host)).1.targets, [host]);
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let server = tcp.local_addr().expect("address");
    let udp = UdpSocket::bind(server).await.expect("bind");
    let answering = tokio::spawn(async move {
        let mut query = vec![0; 512];
        let (len, peer) = udp.recv_from(&mut query).await.expect("query");
        udp.send_to(&reply(&query[..len], 0x8600, &[]), peer).await.expect("send");
        let (mut stream, _) = tcp.accept().await.expect("accept");
        let mut query = vec![0; usize::from(stream.read_u16().await.expect("length"))];
        stream.read_exact(&mut query).await.expect("query");
        let full = reply(&query, 0x8400, &[(8080, "a1.search.sd.example.org")]);
        stream.write_u16(full.len() as u16).await.expect("length");
        stream.write_all(&full).await.expect("reply");
    });
    let names = [name("_search._tcp.sd.example.org")];
    let found = until_answered(&[server], &names, &wanted(), |_| {}).await;
    assert_eq!(found, names[0]);
    answering.await.expect("server task");
}
