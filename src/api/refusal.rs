//! The responses to refused clients, and the log messages about streams that are not handed off.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::handoff::obstacle::{Obstacle, ObstacleKind};
use crate::php::zend;
use crate::response::RefusalResponse;

/// Seconds after which a refused client may retry.
const LATER: Option<u32> = Some(5);

/// Maximum number of reasons that a process logs. One server has fewer.
const REASONS: usize = 16;

const NO_ROOM: RefusalResponse = RefusalResponse {
    status: 503,
    retry_after: LATER,
    sentence: "There is no room for another stream; try again later.\n",
};

const TOO_MANY: RefusalResponse = RefusalResponse {
    status: 429,
    retry_after: LATER,
    sentence: "You have too many streams open; close one, or try again later.\n",
};

/// "Clients will reconnect if the connection is closed; a client can be told to stop reconnecting using the HTTP 204 No Content
/// response code."
const FINISHED: RefusalResponse = RefusalResponse { status: 204, retry_after: None, sentence: "" };

const TOO_LARGE: RefusalResponse = RefusalResponse {
    status: 413,
    retry_after: None,
    sentence: "The request of a stream is kept: send at most 64 KiB of body, no files, and no huge headers.\n",
};

const UNCLEAR: RefusalResponse = RefusalResponse {
    status: 400,
    retry_after: None,
    sentence: "The request line has bytes that no URL may have; encode them.\n",
};

const VERSION: RefusalResponse = RefusalResponse {
    status: 505,
    retry_after: None,
    sentence: "A stream of this server needs HTTP/1.0 or HTTP/1.1.\n",
};

/// The response for an obstacle.
pub fn of(kind: ObstacleKind) -> &'static RefusalResponse {
    match kind {
        ObstacleKind::TooLarge => &TOO_LARGE,
        ObstacleKind::Unclear => &UNCLEAR,
        ObstacleKind::Version => &VERSION,
        ObstacleKind::TooMany => &TOO_MANY,
        ObstacleKind::Finished => &FINISHED,
        // Under `sse.detach=require` the operator may fix the server by the time of the retry.
        ObstacleKind::Left | ObstacleKind::Load | ObstacleKind::Server | ObstacleKind::Expected => &NO_ROOM,
    }
}

/// What happens to a stream that is not handed off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamFate {
    /// The worker serves it.
    InWorker,
    /// The client receives a refusal.
    Refused,
    /// The response had begun, so it ends.
    Ended,
}

/// Logs to PHP's error log why a stream is not handed off: each reason once per process.
pub fn tell(obstacle: &Obstacle, fate: StreamFate) {
    let Obstacle { kind, why, detail } = obstacle;
    // Details that depend on the client must not turn one reason into many.
    let reason = match kind {
        ObstacleKind::Server | ObstacleKind::Expected => why.clone(),
        // Nothing to report.
        ObstacleKind::Left | ObstacleKind::Finished => return,
        kind => format!("{kind:?}"),
    };
    let Some(is_last) = is_new((fate, reason)) else { return };
    let last = if is_last { "; this process tells no further reasons" } else { "" };
    let detail = detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
    let what = match fate {
        StreamFate::InWorker => "a stream is served in its worker".to_owned(),
        StreamFate::Refused => format!("a stream was refused ({})", of(obstacle.kind).status),
        StreamFate::Ended => "a stream has ended as it began".to_owned(),
    };
    zend::log(&format!("sse: {what}: {why}{detail}{last}"));
}

/// Records a reason. `None` if it was logged before; otherwise whether it is the last one that is logged.
fn is_new(reason: (StreamFate, String)) -> Option<bool> {
    static TOLD: Mutex<BTreeSet<(StreamFate, String)>> = Mutex::new(BTreeSet::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    (told.len() < REASONS && told.insert(reason)).then(|| told.len() == REASONS)
}
