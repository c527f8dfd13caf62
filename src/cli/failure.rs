//! Why a command did not do what it was asked, and the exit code that says so.

use std::io;

use super::output::eprint;
use crate::agent::beat::Lost;
use crate::agent::{ClientError, Refused, Unreachable};

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments are wrong in a way that parsing alone cannot see.
    #[error("{0}")]
    Usage(String),
    /// A server said no.
    #[error("{0}")]
    Refused(Refused),
    /// No server answered.
    #[error("{0}\nis `zonebeat serve` running there? name other servers with --server or ZONEBEAT_SERVER")]
    Unreachable(Unreachable),
    /// Another process registered the same id.
    #[error("{0}")]
    TakenOver(Lost),
    /// Something on this machine failed.
    #[error("{0}")]
    Failed(String),
    /// What is wrong has been written already.
    #[error("see above")]
    Reported,
    /// The command that was run ended with this code.
    #[error("the command ended with {0}")]
    Ended(u8),
    /// Writing the output failed.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Failure {
    /// 1 failed, 2 wrong usage, 3 refused by policy. (0, done, is not a failure.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused(refused) if refused.is_policy() => 3,
            Self::TakenOver(_) => 3,
            Self::Ended(code) => *code,
            Self::Refused(_) | Self::Unreachable(_) | Self::Failed(_) | Self::Reported | Self::Output(_) => 1,
        }
    }

    /// Says it to people, on standard error. A reader that went away (`| head`) needs no message.
    pub fn report(&self) {
        match self {
            Self::Reported | Self::Ended(_) => {}
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            failure => eprint(&format!("zonebeat: {failure}")),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refused) => Self::Refused(refused),
            ClientError::Unreachable(unreachable) => Self::Unreachable(unreachable),
        }
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Refused(refused) => Self::Refused(refused),
            taken_over @ Lost::TakenOver(_) => Self::TakenOver(taken_over),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
