//! The process itself, under the names that every Prometheus client uses, read from `/proc` when somebody asks.
//!
//! What cannot be read is left out; no value is better than a wrong one.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// Clock ticks per second in `/proc`: the same on every architecture that Linux still supports.
const TICKS: f64 = 100.0;

/// Name and help of each metric.
const CPU: (&str, &str) = ("process_cpu_seconds_total", "User and system CPU time spent.");
const RESIDENT: (&str, &str) = ("process_resident_memory_bytes", "Resident memory.");
const VIRTUAL: (&str, &str) = ("process_virtual_memory_bytes", "Virtual memory.");
const OPEN: (&str, &str) = ("process_open_fds", "Open file descriptors.");
const MOST: (&str, &str) = ("process_max_fds", "How many file descriptors may be open.");
const START: (&str, &str) = ("process_start_time_seconds", "When the process was started, in Unix time.");

/// Reads this process's figures at each collection.
pub(super) struct Process {
    descs: Vec<Desc>,
}

impl Process {
    pub(super) fn new() -> Self {
        let gauges = [RESIDENT, VIRTUAL, OPEN, MOST, START].into_iter().map(gauge);
        let descs = gauges.flat_map(|gauge| gauge.desc().into_iter().cloned().collect::<Vec<_>>());
        Self { descs: counter(CPU).desc().into_iter().cloned().chain(descs).collect() }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let gauges = [
            (RESIDENT, kilobytes(&status, "VmRSS:")),
            (VIRTUAL, kilobytes(&status, "VmSize:")),
            (OPEN, fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as f64)),
            (MOST, most_descriptors()),
            (START, start_time(&stat)),
        ];
        let set = |((name, help), value): ((&str, &str), Option<f64>)| {
            let gauge = gauge((name, help));
            gauge.set(value?);
            Some(gauge.collect())
        };
        let cpu = cpu_seconds(&stat).map(|seconds| {
            let counter = counter(CPU);
            counter.inc_by(seconds);
            counter.collect()
        });
        cpu.into_iter().chain(gauges.into_iter().filter_map(set)).flatten().collect()
    }
}

fn gauge((name, help): (&str, &str)) -> Gauge {
    Gauge::new(name, help).expect("the names are constants")
}

fn counter((name, help): (&str, &str)) -> Counter {
    Counter::new(name, help).expect("the names are constants")
}

/// A field of `/proc/self/stat`, counted from 1 as in proc(5). The second holds the program's name, which may contain
/// anything, so fields are counted from its closing parenthesis.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(number - 3)?.trim().parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn start_time(stat: &str) -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + field(stat, 22)? / TICKS)
}

fn kilobytes(status: &str, key: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    let number: f64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(number * 1024.0)
}

/// The soft limit; `None` when there is no limit.
fn most_descriptors() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 99 0 0 0 250 50 0 0 20 0 4 0 12345 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(field(stat, 22), Some(12345.0));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn this_process_has_plausible_figures() {
        let families = Process::new().collect();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("{name}"));
            let metric = &family.get_metric()[0];
            metric.get_gauge().get_value().max(metric.get_counter().get_value())
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!((3.0..=value("process_max_fds")).contains(&value("process_open_fds")));
        let now = crate::model::clock::SystemClock::new();
        let now = crate::model::Clock::wall(&now).0 as f64 / 1000.0;
        assert!((now - 3600.0..now + 5.0).contains(&value("process_start_time_seconds")));
        assert!((0.0..3600.0).contains(&value("process_cpu_seconds_total")));
    }
}
