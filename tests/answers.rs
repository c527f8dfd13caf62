//! What dig, kdig and hand-made packets get from a real server: the rules of DNS, one by one.
//!
//! A script in `tests/answers/` is a server (zone files, configuration, registrations), questions, and what must come
//! back, each under the RFC section that asks for it; [`script`] tells its form. What needs arithmetic (sizes,
//! rotation) stands in [`sizes`].

#[path = "answers/script.rs"]
mod script;
#[path = "answers/sizes.rs"]
mod sizes;
mod support;

/// One test for each script, so that the servers run side by side.
macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { script::run(include_str!(concat!("answers/", stringify!($name), ".script"))); })*
    };
}

scripts!(
    access,
    registrations,
    service_left,
    static_records,
    reverse_zones,
    spotify,
    consul,
    packets,
    edns,
    identity_off,
    wildcards,
    delegations,
    renamed,
    targets,
    minimal,
);
