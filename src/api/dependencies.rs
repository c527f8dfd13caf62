//! Who needs whom: the tree of a service's dependencies, or of those that depend on it.
//!
//! A service is followed at its first place only, so a tree has no more places than there are declared dependencies,
//! and a cycle ends. Downwards each place costs a search by label. Upwards the declarations of all services are read
//! first, and nothing is kept: tens of milliseconds at a hundred thousand services, on a thread that may block
//! (`desk`).

use std::collections::HashSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use foldhash::quality::RandomState;
use hashbrown::HashMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::desk::Desk;
use super::extract::{Segments, ServicePath, fold};
use super::query::{Pairs, Parameters, Query};
use super::services::unknown_service;
use super::{Answer, ApiState, Shared, json};
use crate::model::api::{Dependencies, Dependency};
use crate::model::{Refusal, Service};
use crate::registry::Snapshot;

/// The most places of a tree that are shown.
const MOST: usize = 10_000;

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(list_dependencies))
}

/// Which way is asked for.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Direction {
    /// Who depends on the service, instead of what it depends on.
    #[param(required = false)]
    reverse: bool,
}

impl Parameters for Direction {
    const NAMES: &'static [&'static str] = &["reverse"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        Ok(Self { reverse: query.flag("reverse")? })
    }
}

/// Show what a service depends on, or who depends on it.
///
/// The whole tree, as declared: each service before those below it, with its depth. A service that nobody has declared
/// or registered is not `known`, one that stands above itself is a `cycle`, one whose own tree is shown elsewhere is
/// `repeated`. At most 10,000 places.
#[utoipa::path(
    get, path = "/v1/services/{service}/dependencies", tag = "services",
    params(ServicePath, Direction),
    responses((status = 200, description = "The tree", body = Dependencies)),
)]
async fn list_dependencies(
    State(state): Shared,
    Extension(desk): Extension<Desk>,
    Segments(at): Segments<ServicePath>,
    Query(Direction { reverse }): Query<Direction>,
) -> Answer {
    let (snapshot, root) = (state.snapshot()?, fold(&at.service));
    let body = desk.read(move || dependencies_of(&snapshot, &root, reverse)).await??;
    Ok(json::reply(StatusCode::OK, &body))
}

fn dependencies_of(snapshot: &Snapshot, root: &str, reverse: bool) -> Result<Dependencies, Refusal> {
    let graph = if reverse { Graph::upwards(snapshot) } else { Graph::downwards(snapshot) };
    if snapshot.service(root).is_none() && graph.below(root).is_empty() {
        return Err(unknown_service(root));
    }
    let (services, truncated) = graph.tree(root, MOST);
    Ok(Dependencies { revision: snapshot.revision, reverse, services, truncated })
}

/// Services and what stands below each.
struct Graph<'s> {
    snapshot: &'s Snapshot,
    /// Upwards: who depends on each service.
    dependents: Option<Dependents<'s>>,
}

/// Who depends on each service that anybody depends on: chains through one list, since a list for each service would
/// be very many small ones.
#[derive(Default)]
struct Dependents<'s> {
    /// Where the chain of a service begins.
    last: HashMap<&'s str, u32, RandomState>,
    /// A dependent, and where the one before it stands.
    chain: Vec<(&'s str, Option<u32>)>,
}

impl<'s> Dependents<'s> {
    fn add(&mut self, needed: &'s str, dependent: &'s str) {
        let before = self.last.insert(needed, self.chain.len() as u32);
        self.chain.push((dependent, before));
    }

    /// In the order in which they were added.
    fn of(&self, service: &str) -> Vec<&'s str> {
        let last = self.last.get(service).copied();
        let link = |at: &u32| self.chain[*at as usize].1;
        let mut found: Vec<&str> = std::iter::successors(last, link).map(|at| self.chain[at as usize].0).collect();
        found.reverse();
        found
    }
}

impl<'s> Graph<'s> {
    fn downwards(snapshot: &'s Snapshot) -> Self {
        Self { snapshot, dependents: None }
    }

    fn upwards(snapshot: &'s Snapshot) -> Self {
        let mut dependents = Dependents::default();
        for service in snapshot.services.values() {
            for needed in dependencies(service) {
                dependents.add(needed, &service.name);
            }
        }
        Self { snapshot, dependents: Some(dependents) }
    }

    /// The services below one, by label.
    fn below(&self, service: &str) -> Vec<&'s str> {
        match &self.dependents {
            None => self.snapshot.service(service).map(|service| dependencies(service).collect()).unwrap_or_default(),
            Some(dependents) => dependents.of(service),
        }
    }

    /// The tree below `root`, at most `most` places of it, and whether it is larger.
    fn tree(&self, root: &str, most: usize) -> (Vec<Dependency>, bool) {
        let mut places = Vec::new();
        let (mut path, mut on_path, mut seen) = (Vec::new(), HashSet::new(), HashSet::new());
        let mut open = vec![(0, root)];
        while let Some((depth, service)) = open.pop() {
            if places.len() == most {
                return (places, true);
            }
            for left in path.drain(depth..) {
                on_path.remove(left);
            }
            let cycle = on_path.contains(service);
            let first = seen.insert(service);
            let below = self.below(service);
            let repeated = !cycle && !first && !below.is_empty();
            places.push(Dependency { depth, cycle, repeated, ..self.place(service) });
            if first {
                open.extend(below.into_iter().rev().map(|below| (depth + 1, below)));
                on_path.insert(service);
                path.push(service);
            }
        }
        (places, false)
    }

    fn place(&self, name: &str) -> Dependency {
        let service = self.snapshot.service(name).filter(|service| service.is_known());
        Dependency {
            service: name.to_owned(),
            known: service.is_some(),
            serving: service.map_or(0, |service| service.instances.serving_count()),
            owner: service.and_then(|service| service.owner()).map(str::to_owned),
            tier: service.and_then(|service| service.row.declaration.as_ref()?.tier),
            ..Dependency::default()
        }
    }
}

/// What the service's owner declared that it needs.
fn dependencies(service: &Service) -> impl DoubleEndedIterator<Item = &str> {
    service.row.declaration.iter().flat_map(|declared| &declared.dependencies).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Declaration;

    fn snapshot(needs: &[(&str, &[&str])]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, needed) in needs {
            let mut service = Service::new((*name).into());
            let dependencies = needed.iter().map(|&needed| needed.to_owned()).collect();
            service.row.declaration = Some(Declaration { dependencies, ..Declaration::default() }.into());
            snapshot.services.insert(Arc::new(service));
        }
        snapshot
    }

    /// The tree in words: a digit for the depth, the service, a mark.
    fn shown(graph: &Graph<'_>, root: &str) -> Vec<String> {
        let word = |place: &Dependency| {
            let mark = match (place.known, place.cycle, place.repeated) {
                (false, ..) => " unknown",
                (_, true, _) => " cycle",
                (.., true) => " repeated",
                _ => "",
            };
            format!("{} {}{mark}", place.depth, place.service)
        };
        graph.tree(root, MOST).0.iter().map(word).collect()
    }

    #[test]
    fn a_tree_marks_cycles_repetitions_and_unknown_services() {
        let needs: [(&str, &[&str]); 4] =
            [("web", &["index", "search"]), ("search", &["index", "users"]), ("index", &["disk"]), ("users", &["web"])];
        let snapshot = snapshot(&needs);
        let down = ["0 web", "1 index", "2 disk unknown", "1 search", "2 index repeated", "2 users", "3 web cycle"];
        assert_eq!(shown(&Graph::downwards(&snapshot), "web"), down);
        let upwards = Graph::upwards(&snapshot);
        let up = ["0 disk unknown", "1 index", "2 search", "3 web", "4 users", "5 search cycle", "2 web repeated"];
        assert_eq!(shown(&upwards, "disk"), up);
        assert_eq!(shown(&upwards, "users")[..2], ["0 users", "1 search"]);
    }

    #[test]
    fn a_service_may_need_itself_and_a_long_chain_is_cut() {
        let own = snapshot(&[("web", &["web"])]);
        assert_eq!(shown(&Graph::downwards(&own), "web"), ["0 web", "1 web cycle"]);
        let names: Vec<String> = (0..20_000).map(|number| format!("s{number:05}")).collect();
        let mut chain = Snapshot::default();
        for pair in names.windows(2) {
            let one = snapshot(&[(&pair[0], &[&pair[1]])]);
            one.services.values().for_each(|service| chain.services.insert(service.clone()));
        }
        let (places, truncated) = Graph::downwards(&chain).tree("s00000", MOST);
        assert_eq!((places.len(), truncated, places[MOST - 1].depth), (MOST, true, MOST - 1));
    }
}
