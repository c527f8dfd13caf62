//! Podman's real service with an image of this binary, in storage of its own: everything that it makes lies in one
//! temporary folder, and what lies elsewhere (control groups) is removed with it.
//!
//! It runs in a mount namespace of its own, because crun refuses machines that have both versions of control groups:
//! the second one is taken away there. Containers share the host's network. Without systemd nobody runs their health
//! checks; a test asks for a run where systemd's timer would, by the same call.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::mounts::unshare_mounts;
use crate::support::{PATIENCE, eventually, pass};

/// The image, as Podman names it.
const IMAGE: &str = "docker.io/library/zonebeat:latest";
/// The limits of this machine may be lower than what Podman gives by default. Locks are files, not shared memory that
/// would be left behind.
const CONFIG: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
    [engine]\nlock_type = \"file\"\n";
/// Prepares the namespace and becomes the service.
const SCRIPT: &str = r#"
set -e
for mount in /sys/fs/cgroup /run/netns; do
    mount --make-private $mount 2>/dev/null || true # it may be none
done
if [ -d /sys/fs/cgroup/unified ]; then
    umount /sys/fs/cgroup/unified
fi
mkdir -p /var/lib/containers /run/crun
mount --bind "$1/var" /var/lib/containers # what is known of images
mount --bind "$1/crun" /run/crun
if [ "$2" = apart ]; then
    mkdir -p /run/netns /var/lib/cni
    mount --bind "$1/netns" /run/netns
    mount --bind "$1/cni" /var/lib/cni
    ip link set lo up
fi
exec podman --root "$1/root" --runroot "$1/run" --tmpdir "$1/tmp" --storage-driver vfs --cgroup-manager cgroupfs \
    --events-backend file system service --time=0 "unix://$1/podman.sock"
"#;

/// How long control groups may take to become empty.
const CLEANING: Duration = Duration::from_secs(5);

static ENGINES: AtomicU32 = AtomicU32::new(0);

/// An engine with storage and a socket of its own.
pub(crate) struct Podman {
    dir: TempDir,
    /// It has a network namespace of its own, in which it may build networks.
    apart: bool,
    service: Option<Child>,
    cgroup: String,
}

impl Podman {
    /// An engine that runs and has the image. Its containers have the network of this machine.
    pub(crate) fn start() -> Self {
        Self::begin(false)
    }

    /// One with a network namespace of its own, whose containers have a network there.
    pub(crate) fn start_apart() -> Self {
        Self::begin(true)
    }

    fn begin(apart: bool) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        for name in ["root", "run", "tmp", "var", "crun", "netns", "cni", "state"] {
            std::fs::create_dir(dir.path().join(name)).expect("a folder can be made");
        }
        std::fs::write(dir.path().join("containers.conf"), CONFIG).expect("a file can be written");
        let number = ENGINES.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/zonebeat-test-{}-{number}", std::process::id());
        let mut podman = Self { dir, apart, service: None, cgroup };
        podman.serve();
        podman.import();
        podman
    }

    /// Starts the service.
    pub(crate) fn serve(&mut self) {
        let mut command = unshare_mounts();
        command.args(if self.apart { &["--net"][..] } else { &[] });
        command.args(["sh", "-c", SCRIPT, "sh"]).arg(self.dir.path()).arg(if self.apart { "apart" } else { "" });
        command.env("CONTAINERS_CONF", self.path("containers.conf")).env("TMPDIR", self.path("tmp"));
        let log = std::fs::File::create(self.path("service.log")).expect("a file can be made");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.service = Some(command.spawn().expect("unshare (Debian package util-linux) starts"));
        eventually("Podman's service answers (Debian package podman; it needs to be root)", || {
            self.curl("GET", "/_ping", &[]).is_some_and(|(status, _)| status == 200)
        });
    }

    /// Ends the service; its containers live on.
    pub(crate) fn end_service(&mut self) {
        if let Some(mut service) = self.service.take() {
            // It may have ended by itself.
            let _ = service.kill();
            let _ = service.wait();
        }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> String {
        self.path("podman.sock").display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One call; none if nobody answers.
    fn curl(&self, method: &str, path: &str, more: &[&str]) -> Option<(u16, Value)> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", &PATIENCE.as_secs().to_string(), "--unix-socket", &self.socket()]);
        command.args(["-X", method, "-w", "\n%{http_code}"]).args(more).arg(format!("http://podman{path}"));
        let output = command.output().expect("curl (Debian package curl) starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n')?;
        Some((status.parse().ok().filter(|status| *status > 0)?, serde_json::from_str(body.trim()).unwrap_or_default()))
    }

    /// One call, which has to succeed.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| body.to_string());
        let json = ["-H", "content-type: application/json", "-d", body.as_deref().unwrap_or_default()];
        let more = if body.is_some() { &json[..] } else { &[] };
        let (status, answer) = self.curl(method, path, more).unwrap_or_else(|| panic!("{method} {path}: no answer"));
        let log = || std::fs::read_to_string(self.path("service.log")).unwrap_or_default();
        assert!(status < 300, "{method} {path}: {status} {answer}\n--- Podman's service ---\n{}", log());
        answer
    }

    fn import(&self) {
        let path = format!("/images/create?fromSrc=-&repo={}", IMAGE.trim_end_matches(":latest"));
        let tar = format!("@{}", image().display());
        let (status, answer) = self
            .curl("POST", &path, &["-H", "content-type: application/x-tar", "--data-binary", &tar])
            .expect("Podman answers");
        assert_eq!(status, 200, "{answer}");
    }

    /// Creates and starts a container of the image that runs `zonebeat serve`, unless `more` says something else.
    pub(crate) fn run(&self, name: &str, labels: &Value, more: &Value) {
        self.create(name, labels, more);
        self.act(name, "start");
    }

    /// The same without starting it.
    pub(crate) fn create(&self, name: &str, labels: &Value, more: &Value) {
        let state = format!("{}:/state:ro", self.path("state").display());
        let network = if self.apart { "bridge" } else { "host" };
        let host = json!({"NetworkMode": network, "Binds": [state], "CgroupParent": self.cgroup});
        let mut body = json!({"Image": IMAGE, "Cmd": serve(0), "Labels": labels, "HostConfig": host});
        for (key, value) in more.as_object().into_iter().flatten() {
            match value.as_object() {
                Some(inner) => inner.iter().for_each(|(inner, value)| body[key][inner] = value.clone()),
                None => body[key] = value.clone(),
            }
        }
        self.call("POST", &format!("/containers/create?name={name}"), Some(body));
    }

    /// `start`, `stop?t=1`, `kill`, `pause`, `unpause`, `restart`, `rename?name=x`.
    pub(crate) fn act(&self, name: &str, action: &str) {
        self.call("POST", &format!("/containers/{name}/{action}"), None);
    }

    /// Removes a container.
    pub(crate) fn remove(&self, name: &str) {
        self.call("DELETE", &format!("/containers/{name}?force=true"), None);
    }

    /// The number of a container's first process.
    pub(crate) fn pid(&self, name: &str) -> u32 {
        let pid = self.call("GET", &format!("/containers/{name}/json"), None)["State"]["Pid"].as_u64();
        pid.and_then(|pid| pid.try_into().ok()).filter(|pid| *pid > 1).expect("the container runs")
    }

    /// A container's own address.
    pub(crate) fn address(&self, name: &str) -> String {
        let settings = &self.call("GET", &format!("/containers/{name}/json"), None)["NetworkSettings"];
        settings["IPAddress"].as_str().unwrap_or_default().to_owned()
    }

    /// Makes the next health check pass or fail, and has it run as systemd's timer would.
    pub(crate) fn check_health(&self, name: &str, passes: bool) {
        let text = if passes { "zones_dir = \"/\"\n" } else { "zones_dirr = \"/\"\n" };
        std::fs::write(self.path("state/zonebeat.toml"), text).expect("a file can be written");
        self.call("GET", &format!("/v4.0.0/libpod/containers/{name}/healthcheck"), None);
    }
}

/// A server of its own that answers HTTP on this port, or on any.
pub(crate) fn serve(http: u16) -> Value {
    let command = "/bin/zonebeat serve --listen 127.0.0.1:0 --data-dir /data --zone c.example.org --http";
    let words = command.split(' ').map(str::to_owned);
    words.chain([format!("127.0.0.1:{http}")]).collect::<Vec<String>>().into()
}

/// A health check that [`Podman::check_health`] decides.
pub(crate) fn health() -> Value {
    let hour: u64 = 3_600_000_000_000;
    let test = ["CMD", "/bin/zonebeat", "check", "/state/zonebeat.toml"];
    json!({"Healthcheck": {"Test": test, "Interval": hour, "Timeout": 10_000_000_000_u64, "Retries": 1}})
}

impl Podman {
    /// Removes all containers; whether none is left. One whose network another one shares can only go after that.
    fn remove_all(&self) -> bool {
        let list = || self.curl("GET", "/containers/json?all=true", &[]).and_then(|(_, all)| all.as_array().cloned());
        for _ in 0..10 {
            match list() {
                Some(all) if all.is_empty() => return true,
                all => all.iter().flatten().filter_map(|one| one["Id"].as_str()).for_each(|id| {
                    let _ = self.curl("DELETE", &format!("/containers/{id}?force=true"), &[]);
                }),
            }
        }
        false
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if self.service.is_none() {
            self.serve();
        }
        let clean = self.remove_all();
        self.end_service();
        // What watched a container is in its group for a moment longer than the container.
        let deadline = Instant::now() + CLEANING;
        while !remove_cgroups(Path::new("/sys/fs/cgroup"), self.cgroup.trim_start_matches('/'))
            && Instant::now() < deadline
        {
            pass(Duration::from_millis(20));
        }
        assert!(clean || std::thread::panicking(), "containers are left in {}", self.dir.path().display());
    }
}

/// Removes the control groups of this name, which are empty, in every hierarchy; whether none is left.
fn remove_cgroups(root: &Path, name: &str) -> bool {
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let groups: Vec<PathBuf> = hierarchies.chain([root.to_owned()]).map(|hierarchy| hierarchy.join(name)).collect();
    groups.iter().for_each(|group| remove_empty(group));
    !groups.iter().any(|group| group.exists())
}

fn remove_empty(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // It may not be in this hierarchy.
    let _ = std::fs::remove_dir(group);
}

/// A tar of this binary and the libraries that it is linked to, made once; it lies beside the binary, and the next run
/// replaces it, because nobody drops what is static.
fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = tempfile::tempdir_in(beside).expect("a temporary directory can be made");
        let (root, tar) = (dir.path().join("image"), dir.path().join("image.tar"));
        let place = |path: &str| {
            let place = root.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(place.parent().expect("it has a parent")).expect("a folder can be made");
            place
        };
        let binary = place("/bin/zonebeat");
        run(Command::new("strip").arg("-o").arg(&binary).arg(env!("CARGO_BIN_EXE_zonebeat")));
        let linked = run(Command::new("ldd").arg(&binary));
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            std::fs::copy(library, place(library)).expect("a library can be copied");
        }
        run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."));
        let kept = beside.join("container-image.tar");
        std::fs::rename(&tar, &kept).expect("it can be renamed");
        kept
    })
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
