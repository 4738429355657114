//! The topics and options of an `sse_stream()` call, checked.

use std::time::Duration;

use sse_hub::config::{Detach, PadRule};
use sse_hub::util::random;
use sse_protocol::event::MAX_SPREAD;
use sse_protocol::stream::StreamSpec;
use sse_protocol::wire::{self, MAX_KEY, TopicsAs};
use sse_protocol::{mercure, presence};

use super::arguments::{self, MemberOption, Options};
use super::data;
use super::exceptions::Problem;
use crate::ini;
use crate::php::engine::{Argument, ArrayArgument, Engine, Value};
use crate::php::{variables, zend};

const FUNCTION: &str = "sse_stream()";

/// Maximum of `reauthorize`, in seconds.
const MAX_REAUTHORIZE: u32 = 86_400;

/// Range of `poll`: seconds between two renders without a notification.
const POLL: std::ops::RangeInclusive<f64> = 0.1..=86_400.0;

/// Seconds that a long-poll waits for events, where its client names none: less than proxies wait for an answer.
const LONG_POLL: u32 = 25;

/// The checked arguments of a call, without the callback. All are copies: the callback may change the variables.
#[derive(Debug)]
pub struct WantedStream {
    /// The patterns to watch.
    pub patterns: Vec<String>,
    /// The event type for results of the callback that are plain values.
    pub event: Option<String>,
    /// The options that the hub obeys.
    pub spec: StreamSpec,
    /// Who is present on the stream's topics, and whether the client is told of others.
    pub presence: PresenceOption,
    /// The stream's owner.
    pub user: Option<UserOption>,
    /// Whether the stream may, or must, leave the worker.
    pub detach: Detach,
    /// The caller wants the worker to serve the stream.
    pub stays: bool,
    /// Additional response headers, as lines.
    pub headers: Vec<String>,
    /// The client's last event id. Only without a callback.
    pub last_event_id: Option<String>,
    /// The response header that tells the client after which event the stream goes on.
    pub last_event_id_header: Option<String>,
    /// Whether the client gets the last values of its topics first.
    pub retained: bool,
    /// Whether the callback runs at the start.
    pub initial: bool,
    /// Whether to suppress output that equals the last output sent.
    pub only_changes: bool,
    /// Time between renders without a notification; zero: none.
    pub poll: Duration,
    /// Time between authorization checks; zero: none except by renders.
    pub reauthorize: Duration,
    /// Streams of the same script with this key share one render.
    pub share: Option<String>,
}

/// A user, and the limit of their streams.
#[derive(Debug)]
pub struct UserOption {
    /// The user's key.
    pub key: String,
    /// Maximum number of streams; 0: unlimited.
    pub limit: u32,
    /// Whether a stream over the limit replaces the oldest one.
    pub replace: bool,
}

impl WantedStream {
    /// Reads and checks the arguments.
    ///
    /// # Errors
    /// `Argument` or `Type`.
    pub fn new(
        engine: &mut Engine,
        topics: Argument<'_>,
        render: Option<&Value>,
        options: Option<ArrayArgument<'_>>,
    ) -> Result<Self, Problem> {
        let patterns = arguments::patterns(engine, FUNCTION, topics)?;
        if let Some(other) = render
            && !zend::is_callable(engine, other).map_err(|why| Problem::no_value("is_callable", why))?
        {
            let given = zend::type_name(other.look(engine));
            return Err(Problem::Type(format!(
                "{FUNCTION}: Argument #2 ($render) must be of type ?callable, {given} given; options are the third argument, \
                 or named: options: [...]"
            )));
        }
        let mut options = Options::new(engine, FUNCTION, options);
        let heartbeat = options.number("heartbeat", "seconds, 0 for none", ini::MAX_HEARTBEAT)?;
        let retry = options.number("retry", "milliseconds, 0 for none", ini::MAX_RETRY)?;
        let max_lifetime = options.number("max_lifetime", "seconds, 0 for no end", ini::MAX_LIFETIME)?;
        let user = user(&mut options)?;
        let member = options.member("presence")?;
        let presence_events = options.boolean("presence_events")?;
        let detach = options.boolean("detach")?;
        let headers = options.headers("headers")?;
        let reauthorize = options.number("reauthorize", "seconds, 0 for never", MAX_REAUTHORIZE)?;
        let last_event_id = options.text("last_event_id")?;
        let last_event_id_header = options.header_name("last_event_id_header", "Last-Event-ID")?.map(str::to_owned);
        let stream_id = options.boolean("stream_id")?;
        let topics_as = options.choice("topics_as", [("field", TopicsAs::Field), ("envelope", TopicsAs::Envelope)])?;
        let retained = options.boolean("retained")?.unwrap_or(false);
        let spread_over = options.number("spread", "milliseconds, 0 for at once", MAX_SPREAD)?;
        let of_render = OfRender::new(&mut options)?;
        options.finish()?;
        if let (None, Some(name)) = (render, of_render.given()) {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option '{name}' is for streams with a $render, and there is none"
            )));
        }
        if render.is_some() && topics_as.is_some() {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option 'topics_as' is for streams without a $render: what that returns has no topic"
            )));
        }
        if render.is_some() && retained {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option 'retained' is for streams without a $render, which can ask sse_retained() itself"
            )));
        }
        if render.is_some()
            && let Some(pattern) = patterns.iter().find(|pattern| mercure::is_mercure(pattern))
        {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: '{pattern}' is for streams without a $render, which get Mercure's updates as they are"
            )));
        }
        if render.is_some() && spread_over.is_some_and(|ms| ms > 0) {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option 'spread' is for streams without a $render, which runs when there is room for it"
            )));
        }
        if render.is_some() && presence_events == Some(true) {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option 'presence_events' is for streams without a $render; with one, watch the topic \
                 '$presence.TOPIC' as well"
            )));
        }
        let OfRender { event, initial, only_changes, poll, share } = of_render;
        let (event, share) = (event.map(str::to_owned), share.map(str::to_owned));
        let asked = ShortResponse::of_request();
        let last_event_id = last_event_id.map(str::to_owned).or_else(of_request).filter(|_| render.is_none());
        Ok(Self {
            event,
            spec: StreamSpec {
                heartbeat: heartbeat.map_or_else(ini::heartbeat, Ok)?,
                retry: spread(retry.map_or_else(ini::retry, Ok)?, ini::retry_jitter()?),
                max_lifetime: asked.shortens(max_lifetime.map_or_else(ini::max_lifetime, Ok)?),
                topics_as,
                cursor: topics_as.is_none(),
                stream_id: stream_id.unwrap_or(false),
                opens: false,
                // A stream with a callback ends when that says so.
                finishes: render.is_none(),
                // The limit is less than the type's.
                spread: spread_over.and_then(|ms| u16::try_from(ms).ok()).unwrap_or(0),
                long_poll: asked.long_poll,
                pad: match ini::pad()? {
                    PadRule::Auto => collects(),
                    PadRule::Off => 0,
                    PadRule::Bytes(bytes) => bytes,
                },
            },
            presence: PresenceOption::new(engine, member, presence_events.unwrap_or(false), &patterns)?,
            patterns,
            user,
            detach: ini::detach()?,
            stays: detach == Some(false),
            headers,
            last_event_id,
            last_event_id_header,
            retained,
            initial: initial.unwrap_or(true),
            only_changes: only_changes.unwrap_or(true),
            poll: poll.map_or(Duration::ZERO, Duration::from_secs_f64),
            reauthorize: Duration::from_secs(reauthorize.unwrap_or(0).into()),
            share,
        })
    }
}

/// Who is present on a stream's topics, and whether its client is told of others.
#[derive(Debug, Default)]
pub struct PresenceOption {
    /// The user's id and info, the latter in JSON.
    pub member: Option<(String, String)>,
    /// Whether the client is told who is there, joins and leaves.
    pub events: bool,
}

impl PresenceOption {
    /// Encodes the info, which may run PHP code, and checks all.
    fn new(
        engine: &mut Engine,
        member: Option<MemberOption>,
        events: bool,
        patterns: &[String],
    ) -> Result<Self, Problem> {
        let wrong =
            |error: presence::PresenceError| Problem::Argument(format!("{FUNCTION}: option 'presence': {error}"));
        let member = match member {
            Some(MemberOption { id, info }) => {
                let info = info.map_or_else(|| Ok("null".into()), |info| data::json(engine, &info))?;
                presence::check_member(&id, &info).map_err(wrong)?;
                Some((id, info))
            }
            None => None,
        };
        if member.is_some() || events {
            presence::check_patterns(patterns.iter().map(String::as_str)).map_err(wrong)?;
        }
        Ok(Self { member, events })
    }

    /// As it is sent to the hub.
    pub fn wire(&self) -> wire::Presence<'_> {
        let member = self.member.as_ref().map(|(id, info)| wire::Member { id, info });
        wire::Presence { member, events: self.events }
    }
}

/// Bytes that the web server collects before it passes them on; 0: it is not known to collect any. Apache's mod_proxy_fcgi does,
/// unless it has `flushpackets=on`: its core 4 KiB, and mod_ssl 8 KiB before that. Over HTTP/2 it passes all on.
fn collects() -> u16 {
    let is = |name, value: &str| variables::of_server(name).is_some_and(|found| found.starts_with(value));
    match zend::sapi_name() == c"fpm-fcgi" && is("SERVER_SOFTWARE", "Apache") && !is("SERVER_PROTOCOL", "HTTP/2") {
        true if is("REQUEST_SCHEME", "https") || is("HTTPS", "on") => 8192,
        true => 4096,
        false => 0,
    }
}

/// Adds a random part of up to `percent` to a client's reconnection time, so that clients that lost their streams
/// together do not reconnect together.
fn spread(retry: u32, percent: u32) -> u32 {
    let most = u64::from(retry) * u64::from(percent) / 100;
    retry + random::up_to(u32::try_from(most).unwrap_or(u32::MAX - retry))
}

/// Reads the user and the limit of their streams.
fn user(options: &mut Options<'_>) -> Result<Option<UserOption>, Problem> {
    let key = key(options, "user")?;
    let limit = options.number("max_per_user", "streams, 0 for any number", ini::MAX_STREAMS)?;
    let over_limit = options.choice("over_limit", [("refuse", false), ("replace", true)])?;
    let lonely = [(limit.is_some(), "max_per_user"), (over_limit.is_some(), "over_limit")];
    match (key, lonely.into_iter().find_map(|(given, name)| given.then_some(name))) {
        (Some(key), _) => {
            let limit = limit.map_or_else(ini::max_streams_per_user, Ok)?;
            Ok(Some(UserOption { key: key.to_owned(), limit, replace: over_limit.unwrap_or(false) }))
        }
        (None, Some(name)) => {
            Err(Problem::Argument(format!("{FUNCTION}: option '{name}' needs the option 'user': whose streams?")))
        }
        (None, None) => Ok(None),
    }
}

/// Reads a key chosen by the caller.
fn key<'a>(options: &mut Options<'a>, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let key = options.text(name)?;
    match key.filter(|key| key.len() > MAX_KEY) {
        Some(long) => Err(Problem::Argument(format!(
            "{FUNCTION}: option '{name}' must be at most {MAX_KEY} bytes long, {} given; a hash of the key will do",
            long.len()
        ))),
        None => Ok(key),
    }
}

/// The last event id in the request: from the header that an EventSource sends when it reconnects, or from a query
/// parameter that a page sets for its first connection.
pub fn of_request() -> Option<String> {
    let header = variables::of_server("HTTP_LAST_EVENT_ID");
    header.or_else(|| variables::of_query("lastEventId")).filter(|id| !id.is_empty())
}

/// A response that ends soon, which a client asks for where a proxy holds back what has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ShortResponse {
    /// Seconds after which the response is to end; 0: no wish.
    lifetime: u32,
    /// The response is to end after its first events.
    long_poll: bool,
}

impl ShortResponse {
    /// Reads the query parameters `maxLifetime` and `longPoll`. What is no number of seconds is no wish.
    fn of_request() -> Self {
        let lifetime = variables::of_query("maxLifetime").and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Self { lifetime, long_poll: variables::of_query("longPoll").is_some_and(|value| value == "1") }
    }

    /// The stream's lifetime in seconds, 0 for no end: a client's wish only shortens it.
    fn shortens(self, lifetime: u32) -> u32 {
        let asked = if self.long_poll && self.lifetime == 0 { LONG_POLL } else { self.lifetime };
        match (lifetime, asked) {
            (lifetime, 0) => lifetime,
            (0, asked) => asked.min(ini::MAX_LIFETIME),
            (lifetime, asked) => lifetime.min(asked),
        }
    }
}

/// The options that need a callback.
struct OfRender<'a> {
    event: Option<&'a str>,
    initial: Option<bool>,
    only_changes: Option<bool>,
    poll: Option<f64>,
    share: Option<&'a str>,
}

impl<'a> OfRender<'a> {
    fn new(options: &mut Options<'a>) -> Result<Self, Problem> {
        let event = options.text("event")?;
        let initial = options.boolean("initial")?;
        let only_changes = options.boolean("only_changes")?;
        let poll = options.seconds("poll")?;
        if let Some(seconds) = poll.filter(|seconds| !POLL.contains(seconds)) {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option 'poll' must be from {} to {} seconds, {seconds} given; null for none",
                POLL.start(),
                POLL.end()
            )));
        }
        let share = key(options, "share")?;
        Ok(Self { event, initial, only_changes, poll, share })
    }

    /// The name of an option that was given.
    fn given(&self) -> Option<&'static str> {
        let given = [
            (self.event.is_some(), "event"),
            (self.initial.is_some(), "initial"),
            (self.only_changes.is_some(), "only_changes"),
            (self.poll.is_some(), "poll"),
            (self.share.is_some(), "share"),
        ];
        given.into_iter().find_map(|(given, name)| given.then_some(name))
    }
}
