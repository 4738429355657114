//! What a client is told whose stream is refused, and what the operator is told of streams that are not handed over.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::handoff::obstacle::{Kind, Obstacle};
use crate::response::Refusal;
use crate::zend;

/// Seconds after which a client may come back to a server that has no room.
const LATER: Option<u32> = Some(5);

/// Reasons that a process tells; so many different ones are not one server's.
const REASONS: usize = 16;

const NO_ROOM: Refusal =
    Refusal { status: 503, retry_after: LATER, sentence: "There is no room for another stream; try again later.\n" };

const TOO_MANY: Refusal = Refusal {
    status: 429,
    retry_after: LATER,
    sentence: "You have too many streams open; close one, or try again later.\n",
};

const TOO_LARGE: Refusal = Refusal {
    status: 413,
    retry_after: None,
    sentence: "The request of a stream is kept: send at most 64 KiB of body, no files, and no huge headers.\n",
};

const UNCLEAR: Refusal = Refusal {
    status: 400,
    retry_after: None,
    sentence: "The request line has bytes that no URL may have; encode them.\n",
};

const VERSION: Refusal =
    Refusal { status: 505, retry_after: None, sentence: "A stream of this server needs HTTP/1.0 or HTTP/1.1.\n" };

/// What a client is told for an obstacle.
pub fn of(kind: Kind) -> &'static Refusal {
    match kind {
        Kind::TooLarge => &TOO_LARGE,
        Kind::Unclear => &UNCLEAR,
        Kind::Version => &VERSION,
        Kind::TooMany => &TOO_MANY,
        // Where the server can't hand over and must (`sse.detach=require`), it may be mended by then.
        Kind::Left | Kind::Load | Kind::Server | Kind::Expected => &NO_ROOM,
    }
}

/// What becomes of a stream that is not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The worker serves it.
    InWorker,
    /// Its client is refused.
    Refused,
    /// Its response, which had begun, has ended.
    Ended,
}

/// Tells the operator, in PHP's error log and each reason once a process, why a stream is not handed over.
pub fn tell(obstacle: &Obstacle, fate: Fate) {
    let Obstacle { kind, why, detail } = obstacle;
    // Clients that do things one after the other must not make many reasons of one.
    let reason = match kind {
        Kind::Server | Kind::Expected => why.clone(),
        // Its own business.
        Kind::Left => return,
        kind => format!("{kind:?}"),
    };
    let Some(is_last) = is_new((fate, reason)) else { return };
    let last = if is_last { "; this process tells no further reasons" } else { "" };
    let detail = detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
    let what = match fate {
        Fate::InWorker => "a stream is served in its worker".to_owned(),
        Fate::Refused => format!("a stream was refused ({})", of(obstacle.kind).status),
        Fate::Ended => "a stream has ended as it began".to_owned(),
    };
    zend::log(&format!("sse: {what}: {why}{detail}{last}"));
}

/// Whether a reason was not told yet, and if so, whether it is the last one that is.
fn is_new(reason: (Fate, String)) -> Option<bool> {
    static TOLD: Mutex<BTreeSet<(Fate, String)>> = Mutex::new(BTreeSet::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    (told.len() < REASONS && told.insert(reason)).then(|| told.len() == REASONS)
}
