//! Real programs that follow a service through DNS, and what each of them believes: HAProxy, Prometheus and Unbound.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::program::{Place, Program, dig, free_port};
use crate::support::{http, mounts};
use crate::{SERVICE, ZONE, pass};

/// Which instances there are, and their ports.
pub(crate) type Believed = BTreeMap<String, u16>;

/// How long a follower may take at a quiet time: Prometheus collects what it finds for 5 s, and then once more.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Followers {
    haproxy: PathBuf,
    prometheus: SocketAddr,
    pub(crate) unbound: SocketAddr,
    _running: [Program; 3],
}

impl Followers {
    /// Starts them, beside a server that answers on port 53 of 127.0.0.1.
    pub(crate) fn start() -> Self {
        let (haproxy, socket) = haproxy();
        let (prometheus, web) = prometheus();
        let (unbound, resolver) = unbound();
        Self { haproxy: socket, prometheus: web, unbound: resolver, _running: [haproxy, prometheus, unbound] }
    }

    /// Waits until all of them believe this; how long each took, or what it believes instead.
    pub(crate) fn compare(&self, wanted: &Believed) -> Vec<(&'static str, Result<Duration, Believed>)> {
        let began = Instant::now();
        let asks: [(&'static str, &dyn Fn() -> Believed); 3] = [
            ("Unbound", &|| self.ask_unbound()),
            ("HAProxy", &|| self.ask_haproxy()),
            ("Prometheus", &|| self.ask_prometheus()),
        ];
        let follow = |(name, ask): (&'static str, &dyn Fn() -> Believed)| loop {
            let believed = ask();
            if believed == *wanted {
                break (name, Ok(began.elapsed()));
            }
            if began.elapsed() > PATIENCE {
                break (name, Err(believed));
            }
            pass(Duration::from_millis(100));
        };
        asks.map(follow).into()
    }

    fn ask_unbound(&self) -> Believed {
        let lines = dig(self.unbound, &["+short", "+bufsize=8192", &format!("_{SERVICE}._tcp.{ZONE}"), "SRV"]);
        let parse = |line: &String| {
            let mut fields = line.split(' ').skip(2);
            let port = fields.next()?.parse().ok()?;
            Some((first_label(fields.next()?), port))
        };
        lines.iter().filter_map(parse).collect()
    }

    /// The servers that it would send connections to.
    fn ask_haproxy(&self) -> Believed {
        let ask = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(&self.haproxy)?;
            stream.write_all(format!("show servers state {SERVICE}\n").as_bytes())?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = ask().unwrap_or_default();
        let head: Vec<&str> =
            text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default().split(' ').collect();
        let mut believed = Believed::new();
        for line in text.lines().filter(|line| line.contains(" srv")) {
            let fields: BTreeMap<&str, &str> = head.iter().copied().zip(line.split(' ')).collect();
            let field = |name: &str| fields.get(name).copied().unwrap_or_default();
            // 0x20: in maintenance, because DNS does not have it (any more).
            let admin: u32 = field("srv_admin_state").parse().unwrap_or(0x20);
            if admin & 0x20 == 0 && field("srv_op_state") == "2" {
                believed.insert(first_label(field("srv_fqdn")), field("srv_port").parse().unwrap_or_default());
            }
        }
        believed
    }

    fn ask_prometheus(&self) -> Believed {
        let Ok(reply) = http::request(self.prometheus, "GET", "/api/v1/targets?state=active", &[], None) else {
            return Believed::new();
        };
        let reply = reply.json();
        let targets = reply["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        let addresses = targets.iter().filter_map(|target| target["discoveredLabels"]["__address__"].as_str());
        addresses.filter_map(|text| Some((first_label(text), text.rsplit(':').next()?.parse().ok()?))).collect()
    }
}

fn first_label(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}

fn haproxy() -> (Program, PathBuf) {
    let place = Place::new();
    let socket = place.path().join("stats");
    let config = format!(
        "global\n  stats socket {{dir}}/stats level admin\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 2s\n  timeout server 2s\n\
         resolvers ours\n  nameserver one 127.0.0.1:53\n  accepted_payload_size 8192\n  timeout resolve 500ms\n\
         \x20 timeout retry 500ms\n  hold valid 500ms\n  hold obsolete 500ms\n  hold nx 500ms\n\
         listen {SERVICE}\n  bind 127.0.0.1:{}\n\
         \x20 server-template srv 80 _{SERVICE}._tcp.{ZONE} resolvers ours resolve-prefer ipv4 init-addr none\n",
        free_port(),
    );
    (place.start("haproxy", &["-db", "-f", "{dir}/config"], &config), socket)
}

/// It reads `/etc/resolv.conf` and asks port 53: it gets a file of its own.
fn prometheus() -> (Program, SocketAddr) {
    let web = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = format!(
        "global:\n  scrape_interval: 1h\nscrape_configs:\n- job_name: world\n  dns_sd_configs:\n\
         \x20 - names: ['_{SERVICE}._tcp.{ZONE}']\n    type: SRV\n    refresh_interval: 1s\n"
    );
    let start = format!(
        "echo nameserver 127.0.0.1 > {{dir}}/resolv.conf && mount --bind {{dir}}/resolv.conf /etc/resolv.conf && \
         exec prometheus --config.file={{dir}}/config --storage.tsdb.path={{dir}}/data --web.listen-address={web} \
         --log.level=warn"
    );
    let unshare = mounts::unshare_mounts();
    let own: Vec<String> = unshare.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let args: Vec<&str> = own.iter().map(String::as_str).chain(["sh", "-c", &start]).collect();
    (Place::new().start("unshare", &args, &config), web)
}

fn unbound() -> (Program, SocketAddr) {
    let resolver = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = format!(
        "server:\n interface: 127.0.0.1@{}\n do-ip6: no\n username: \"\"\n chroot: \"\"\n directory: \"{{dir}}\"\n\
         \x20pidfile: \"{{dir}}/pid\"\n use-syslog: no\n do-not-query-localhost: no\n module-config: iterator\n\
         \x20num-threads: 1\n infra-keep-probing: yes\n log-servfail: yes\n edns-buffer-size: 8192\n\
         \x20max-udp-size: 8192\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: {ZONE}\n stub-addr: 127.0.0.1@53\n",
        resolver.port()
    );
    (Place::new().start("unbound", &["-d", "-c", "{dir}/config"], &config), resolver)
}
