//! A server on a port of its own, and a client that checks every problem against the served OpenAPI document.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zonebeat::api::{ApiState, Exposition, Freshness, Limits, Observe, ViewStatus, Zones, problem};
use zonebeat::model::api::ZoneInfo;
use zonebeat::model::clock::SystemClock;
use zonebeat::model::naming::Naming;
use zonebeat::model::{Name, Revision};
use zonebeat::registry::explain::Answers;
use zonebeat::registry::store::embedded::EmbeddedStore;
use zonebeat::registry::update::Look;
use zonebeat::registry::{
    Options, Publisher, Registry, Snapshot, StaticNames, Store, StoreError, Touched, TouchedName, ZoneRow,
};
use zonebeat::security::Policy;

/// What the other parts would be.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) calls: Mutex<Vec<(String, u16)>>,
    pub(crate) stale: Mutex<Option<String>>,
}

impl Observe for Parts {
    fn answered(&self, call: &str, status: u16, _: Duration) {
        self.calls.lock().expect("lock").push((call.to_owned(), status));
    }
}

impl Exposition for Parts {
    fn exposition(&self) -> String {
        "# TYPE zonebeat_up gauge\nzonebeat_up 1\n".into()
    }
}

impl Freshness for Parts {
    fn view(&self) -> Option<ViewStatus> {
        let stale = self.stale.lock().expect("lock").clone();
        Some(ViewStatus { revision: Revision(1), age: Duration::from_secs(1), stale })
    }
}

impl Zones for Parts {
    fn zones(&self) -> Vec<ZoneInfo> {
        let zone = |name: &str, kind: &str| ZoneInfo {
            name: name.to_owned(),
            kind: kind.to_owned(),
            serial: 1843,
            base_serial: 1,
            ready: true,
            readable: true,
            names: 3,
            records: 5,
            digest: Some("2c26".to_owned()),
        };
        vec![zone("sd.example.org.", "registrations"), zone("example.net.", "static")]
    }
}

impl Answers for Parts {}

impl StaticNames for Parts {
    fn holder(&self, name: &[u8]) -> Option<String> {
        (Name::from_wire(name).expect("a name").to_string() == "www.sd.example.org.")
            .then(|| "zones/sd.example.org.zone:7".to_owned())
    }
}

/// Publishes nothing: the answers of DNS are not looked at here.
struct Silent;

impl Look for Silent {}

impl Publisher for Silent {
    fn load(&mut self, _: &Snapshot, _: &[(Name, ZoneRow)]) -> Vec<(Name, String)> {
        Vec::new()
    }
    fn reload(&mut self, _: &Snapshot) -> Vec<(Name, String)> {
        Vec::new()
    }
    fn mark(&mut self, _: &[(Name, Revision)]) {}
    fn prepare(&mut self, _: &Snapshot, _: &[Touched], _: &[TouchedName]) -> Vec<(Name, Revision)> {
        Vec::new()
    }
    fn close(&mut self) {}
    fn publish(&mut self) {}
    fn discard(&mut self) {}
    fn set_stale(&mut self, _: bool) {}
}

/// A server with an empty store.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) parts: Arc<Parts>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    client: reqwest::Client,
    document: Value,
    _data: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Reply {
    /// The word of a problem; empty if it is none.
    pub(crate) fn word(&self) -> &str {
        self.json["type"].as_str().and_then(|kind| kind.strip_prefix(problem::TYPE_BASE)).unwrap_or_default()
    }

    pub(crate) fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap_or_default()
    }
}

impl Server {
    /// A server whose data are loaded.
    pub(crate) async fn start() -> Self {
        Self::bounded(Limits::default()).await
    }

    /// One with limits of its own.
    pub(crate) async fn bounded(limits: Limits) -> Self {
        let data = tempfile::tempdir().expect("directory");
        let path = data.path().to_owned();
        let open = move || Ok(Arc::new(EmbeddedStore::open(&path)?) as Arc<dyn Store>);
        let server = Self::with(data, limits, Box::new(open)).await;
        server.until(async || server.registry.health().loaded).await;
        server
    }

    /// A server whose store does not open.
    pub(crate) async fn without_data() -> Self {
        let open = || Err(StoreError::Locked("/var/lib/zonebeat/registry.redb".into()));
        Self::with(tempfile::tempdir().expect("directory"), Limits::default(), Box::new(open)).await
    }

    pub(crate) async fn with(
        data: tempfile::TempDir,
        limits: Limits,
        open: Box<dyn FnMut() -> Result<Arc<dyn Store>, StoreError> + Send>,
    ) -> Self {
        let parts = Arc::new(Parts::default());
        let clock = Arc::new(SystemClock::new());
        let (registry, _) =
            Registry::start(options(), open, Box::new(Silent), parts.clone(), clock.clone(), Arc::new(()));
        let shutdown = CancellationToken::new();
        let state = ApiState {
            id: "ns1".into(),
            since: zonebeat::model::Timestamp(0),
            dns: Arc::from([std::net::SocketAddr::from(([127, 0, 0, 1], 5300))]),
            registry: registry.clone(),
            metrics: parts.clone(),
            freshness: parts.clone(),
            zones: parts.clone(),
            observer: parts.clone(),
            clock,
            shutdown: shutdown.clone(),
            limits: limits.clone(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let task = tokio::spawn(zonebeat::api::serve(listener, zonebeat::api::router(state), limits, shutdown.clone()));
        let document = serde_json::to_value(zonebeat::api::openapi::document()).expect("plain data");
        let client = reqwest::Client::builder().no_proxy().build().expect("client");
        Self { address, registry, parts, shutdown, task, client, document, _data: data }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method: Method = method.parse().expect("method");
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "").await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.send(method, path, body, &[]).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        let response = request.send().await.expect("a response");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("text");
        let json = serde_json::from_str(&text).unwrap_or_default();
        let reply = Reply { status, headers, text, json };
        self.check_problem(method, path, &reply);
        reply
    }

    /// Every problem is one, and the document says that this call may answer with it.
    fn check_problem(&self, method: &str, path: &str, reply: &Reply) {
        if method == "HEAD" {
            return;
        }
        let is_problem = reply.headers.get(CONTENT_TYPE).is_some_and(|media| media == problem::MEDIA_TYPE);
        if reply.status < 400 || !is_problem {
            assert!(reply.status < 400 || path == "/readyz", "{method} {path}: {reply:?}");
            return;
        }
        assert_eq!(reply.json["status"], reply.status, "{reply:?}");
        assert!(reply.detail().len() > 10, "{reply:?}");
        let word = reply.word();
        if word == "unknown-call" {
            return;
        }
        let template = self.template(path.split('?').next().unwrap_or_default());
        let operation = &self.document["paths"][template][method.to_lowercase()];
        let described = operation["responses"][reply.status.to_string()]["description"].as_str().unwrap_or_default();
        assert!(described.contains(&format!("`{word}`:")), "{method} {path} answered {word}: not in the document");
    }

    fn template(&self, path: &str) -> &str {
        let fits = |template: &&String| {
            let pair = || template.split('/').zip(path.split('/'));
            template.split('/').count() == path.split('/').count() && pair().all(|(t, p)| t.starts_with('{') || t == p)
        };
        self.document["paths"].as_object().expect("paths").keys().find(fits).expect("a path of the document")
    }

    /// Waits until something holds, for ten seconds at most.
    pub(crate) async fn until(&self, holds: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds().await {
            assert!(Instant::now() < deadline, "it did not come to hold");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.registry.snapshot().revision.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.registry.stop();
        self.shutdown.cancel();
    }
}

fn options() -> Options {
    let allow_addresses = vec!["127.0.0.0/8".parse().expect("prefix")];
    Options {
        zones: vec!["sd.example.org".parse().expect("name")],
        naming: Naming::plain(),
        policy: Policy { allow_addresses, ..Policy::default() },
        history: Duration::from_secs(3600),
        servers: vec!["http://192.0.2.53:8053".into()],
        ttl: 30,
        guard: zonebeat::registry::guard::Limits::off(),
    }
}
