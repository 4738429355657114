//! Tokens of the ordering thread's sockets: what each stands for.

use mio::Token;

/// Tokens from here on are shared by connections, owners, attempts and shards.
pub(crate) const FIRST: usize = 5;
const KINDS: usize = 4;

/// What a token from `FIRST` on stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    /// The connection with this key.
    Connection(usize),
    /// The owner with this process id.
    Owner(u32),
    /// The attempt with this key.
    Attempt(usize),
    /// The process of the shard with this number.
    Shard(usize),
}

impl Of {
    /// What this token stands for.
    pub(crate) fn of_token(token: usize) -> Self {
        let place = (token - FIRST) / KINDS;
        match (token - FIRST) % KINDS {
            0 => Self::Connection(place),
            1 => Self::Owner(place as u32),
            2 => Self::Attempt(place),
            _ => Self::Shard(place),
        }
    }
}

impl From<Of> for Token {
    fn from(of: Of) -> Self {
        let (place, kind) = match of {
            Of::Connection(place) => (place, 0),
            Of::Owner(pid) => (pid as usize, 1),
            Of::Attempt(place) => (place, 2),
            Of::Shard(number) => (number, 3),
        };
        Self(FIRST + KINDS * place + kind)
    }
}
