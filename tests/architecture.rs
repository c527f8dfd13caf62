//! The rules of the tree, checked: who imports whom, what the pure core does without, how large things may grow, that
//! every dependency and ban carries its reason, and that the docs point to files that are there.
//!
//! The rules are the tables below. A new module gets its line in [`IMPORTS`] and in `src/lib.rs`.

#[path = "architecture/docs.rs"]
mod docs;
#[path = "architecture/lines.rs"]
mod lines;
#[path = "architecture/source.rs"]
mod source;

use source::{Source, sources};

/// What a module may import of this crate, besides itself. In path order; supports and edges follow.
const IMPORTS: &[(&str, &[&str])] = &[
    // the core: each module imports only what lies upstream of it
    ("model", &[]),
    ("registry", &["model", "security"]), // `security` decides whether a command is allowed; the writer asks it
    ("zone", &["model"]),
    (
        "view",
        &["registry::snapshot", "registry::Snapshot", "registry::Touched", "registry::TouchedName", "zone", "model"],
    ),
    ("answer", &["view", "model"]),
    ("transfer", &["answer", "view", "model"]), // a transfer starts from the query that asks for it
    // supports: words and decisions, known to every edge
    ("security", &["model"]),
    ("config", &["model"]),
    ("metrics", &["model"]),
    // edges: import the core and the supports, never each other
    ("wire", &["transfer", "answer", "view", "registry", "zone", "model", "security", "config", "metrics"]),
    ("update", &["answer", "view", "registry", "zone", "model", "security", "config", "metrics"]),
    ("api", &["view", "registry", "zone", "model", "security", "config", "metrics"]),
    ("agent", &["model", "config", "metrics"]),
    // The commands are the outermost edge. They start the server, and those that talk to one use the client library
    // of `agent`: one way to retry, one way to read problem documents. Nothing imports `cli`.
    // What applications import: the part of `agent` that they need, and nothing of a server.
    ("client", &["agent", "model"]),
    ("cli", &["agent", "server", "registry", "zone", "model", "security", "config", "metrics"]),
    ("main", &["cli"]),
];

/// The composition root: sees everything, and is seen by `cli` only.
const ROOT: &str = "server";

/// Crates that only some modules may use.
const CRATES: &[(&str, &[&str], &str)] = &[
    ("redb", &["registry::store::embedded"], "the embedded store is one backend behind the Store contract"),
    ("etcd_client", &["registry::store::etcd"], "the etcd store is one backend behind the Store contract"),
    ("hickory_server", &["wire"], "its traits carry the encrypted transports and nothing else"),
    (
        "hickory_proto",
        &["model", "zone", "view", "answer", "transfer", "update", "wire"],
        "its types are DNS data; registry and HTTP speak the words of `model`",
    ),
    ("axum", &["api", "server"], "HTTP is one edge"),
    ("url", &["agent", "cli"], "the server asks nobody over HTTP"),
    ("clap", &["cli", "main"], "arguments are parsed at one place"),
];

/// The modules that are pure: no async, no I/O, no logging, no locks, no clock.
const PURE: &[&str] = &["model", "zone", "view", "answer", "transfer"];

/// What purity forbids, and the one module that may use it all the same.
const IMPURE: &[(&str, Option<&str>)] = &[
    ("tokio", None),
    ("tokio_util", None),
    ("tokio_stream", None),
    ("tracing", None),
    ("socket2", None),
    ("libc", None),
    ("std::fs", None),
    ("std::env", None),
    ("std::process", None),
    ("std::thread", Some("view::compile::bulk")), // scoped threads that share nothing anybody changes
    ("std::net::TcpStream", None),
    ("std::net::TcpListener", None),
    ("std::net::UdpSocket", None),
    ("std::sync::Mutex", Some("view::publish")),
    ("std::sync::RwLock", None),
    ("std::sync::Condvar", None),
    ("std::sync::mpsc", None),
    ("arc_swap", Some("view::publish")),
    ("std::time::Instant", Some("model::clock")),
    ("std::time::SystemTime", Some("model::clock")),
    ("std::sync::atomic", Some("model::clock")), // the clock that tests wind
];

/// The files that may say `unsafe`: two make system calls that the standard library does not have, and the program
/// tells its allocator how to work.
const UNSAFE: &[&str] = &["src/wire/udp/batch.rs", "src/wire/udp/batch/tests.rs", "src/main.rs"];

const MAX_FILE: usize = 700;
const MAX_FUNCTION: usize = 70;

/// Whether `path` is `prefix` or lies below it; both as in `registry::snapshot`.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Fails with every fault at once, one per line.
fn assert_none(what: &str, faults: Vec<String>) {
    assert!(faults.is_empty(), "{what}:\n  {}\n", faults.join("\n  "));
}

fn checked_sources() -> impl Iterator<Item = Source> {
    sources("src").into_iter().filter(|source| !source.is_test() && !source.module.is_empty())
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut faults = Vec::new();
    for source in checked_sources().filter(|source| source.module[0] != ROOT) {
        let module = source.module[0].clone();
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{}: module `{module}` has no line in IMPORTS", source.path));
            continue;
        };
        for used in source.uses().iter().filter(|used| used.path[0] == "crate" && used.path.len() > 1) {
            let target = used.path[1..].join("::");
            if !is_below(&target, &module) && !allowed.iter().any(|prefix| is_below(&target, prefix)) {
                faults.push(format!("{}:{}: `{module}` must not import `{target}`", source.path, used.line));
            }
        }
    }
    assert_none("imports against the path", faults);
}

#[test]
fn the_table_itself_has_no_cycle_and_edges_do_not_meet() {
    let edges = ["wire", "api", "update", "agent"];
    let core = ["model", "registry", "zone", "view", "answer", "transfer", "security", "config", "metrics"];
    for (module, allowed) in IMPORTS {
        for target in allowed.iter().map(|path| path.split("::").next().unwrap_or(path)) {
            let back = IMPORTS.iter().find(|(name, _)| *name == target).map_or(&[][..], |(_, imports)| imports);
            assert!(!back.contains(module), "`{module}` and `{target}` import each other");
            assert!(!(edges.contains(module) && edges.contains(&target)), "edge `{module}` imports edge `{target}`");
            assert!(!(core.contains(module) && edges.contains(&target)), "core `{module}` imports edge `{target}`");
        }
    }
}

#[test]
fn crates_stay_behind_their_modules() {
    let mut faults = Vec::new();
    for source in checked_sources() {
        let module = source.module.join("::");
        for used in source.uses() {
            let Some((name, homes, why)) = CRATES.iter().find(|(name, ..)| *name == used.path[0]) else { continue };
            if !homes.iter().any(|home| is_below(&module, home)) {
                faults.push(format!("{}:{}: `{name}` belongs to {homes:?}: {why}", source.path, used.line));
            }
        }
    }
    assert_none("crates outside their modules", faults);
}

#[test]
fn the_core_is_pure() {
    let mut faults = Vec::new();
    for source in checked_sources().filter(|source| PURE.contains(&source.module[0].as_str())) {
        let module = source.module.join("::");
        for used in source.uses() {
            let path = used.path.join("::");
            let banned = IMPURE.iter().find(|(banned, _)| is_below(&path, banned));
            if let Some((banned, exception)) = banned
                && !exception.is_some_and(|home| is_below(&module, home))
            {
                faults.push(format!("{}:{}: `{banned}` in the pure core", source.path, used.line));
            }
        }
        faults.extend(source.asyncs().iter().map(|found| format!("{}:{}: async", source.path, found.line)));
    }
    assert_none("the core has no async, no I/O, no logging, no locks and no clock", faults);
}

#[test]
fn unsafe_stays_in_the_files_named_for_it() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let named = UNSAFE.contains(&source.path.as_str());
        if source.has_unsafe() && !named {
            faults.push(format!("{}: has `unsafe`", source.path));
        }
        if source.text.contains("allow(unsafe_code)") && !named {
            faults.push(format!("{}: allows `unsafe`", source.path));
        }
    }
    assert_none("unsafe outside the files named for it", faults);
}

#[test]
fn files_and_functions_stay_small() {
    let mut faults = Vec::new();
    for source in ["src", "tests", "benches", "fuzz"].into_iter().flat_map(sources) {
        let lines = source.text.lines().count();
        if lines > MAX_FILE {
            faults.push(format!("{}: {lines} lines; split it by subject, at most {MAX_FILE}", source.path));
        }
        for function in source.functions().iter().filter(|function| function.lines > MAX_FUNCTION) {
            let (name, line, lines) = (&function.name, function.line, function.lines);
            faults.push(format!("{}:{line}: `{name}` has {lines} lines; at most {MAX_FUNCTION}", source.path));
        }
    }
    assert_none("too large", faults);
}

#[test]
fn the_map_has_a_line_for_every_module() {
    let map = std::fs::read_to_string(source::root().join("src/lib.rs")).expect("lib.rs can be read");
    let mut modules: Vec<String> = checked_sources().map(|source| source.module[0].clone()).collect();
    modules.dedup();
    let explained = |module: &str| {
        map.lines().any(|line| {
            let line = line.strip_prefix("pub mod ").and_then(|line| line.strip_prefix(module));
            line.is_some_and(|line| line.starts_with("; // "))
        })
    };
    modules.retain(|module| module != "main" && !explained(module));
    assert!(modules.is_empty(), "src/lib.rs does not say in a line what these are for: {modules:?}");
}
