//! Containers of this host, registered by their labels: Docker and Podman, over the socket of either.
//!
//! ```text
//! socket --engine--> list, inspect, events --follow--> Container --labels, place--> Planned, as from a file
//! ```
//!
//! `engine` finds the socket and makes three calls; `facts` is what they answer, as far as it is used here; `place`
//! says where a container is reached; `labels` makes of its labels what a file of services says, in the same words and
//! with the same errors; `follow` keeps all of it as the engine has it now. The supervisor takes the outcome as it
//! takes that of the folder.

mod engine;
mod facts;
mod follow;
mod labels;
mod place;

pub use engine::{Engine, EngineError};
pub use follow::{Follower, Known};
