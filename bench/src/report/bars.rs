//! What was promised: each bar with the figures that it is computed from. A bar whose figures are not in a run is "not
//! measured"; none ever fails anything.

use super::bar::Given::{Number, Word};
use super::bar::Limit::{AtLeast, AtMost, Within};
use super::bar::{Against, Bar, Given, Pick};
use crate::results::Results;

/// Servers, by the names that scenarios give them.
pub mod server {
    pub const FLOOR: &str = "floor";
    pub const PHP_S: &str = "php-s";
    pub const FPM: &str = "nginx-fpm";
    pub const NCHAN: &str = "nchan";
    pub const PUSHPIN: &str = "pushpin";
}

const HUNDRED: (&str, Given) = ("bytes", Number(100));

const fn cpu(server: &'static str, with: &'static [(&'static str, Given)]) -> Pick {
    Pick { scenario: "fanout", server, quantity: "cpu_per_delivery", role: None, with }
}

const fn hub_cpu(with: &'static [(&'static str, Given)]) -> Pick {
    Pick { role: Some("hub"), ..cpu(server::FPM, with) }
}

const fn p99(server: &'static str) -> Pick {
    Pick { quantity: "latency_p99", ..cpu(server, AT_5000) }
}

const fn rate(scenario: &'static str, server: &'static str, with: &'static [(&'static str, Given)]) -> Pick {
    Pick { scenario, server, quantity: "rate", role: None, with }
}

const AT_1000: &[(&str, Given)] = &[("streams", Number(1000)), HUNDRED];
const AT_5000: &[(&str, Given)] = &[("streams", Number(5000)), HUNDRED];
const UNREAD: &[(&str, Given)] = &[("streams", Number(0))];
const READ: &[(&str, Given)] = &[("streams", Number(1000))];

/// The two ways in which PHP sends on an open socket: fwrite() to `udp://…`, and socket_sendto().
const DATAGRAMS: &[Pick] = &[rate("publish", "UDP send", UNREAD), rate("publish", "UDP socket_sendto", UNREAD)];

const fn ratio(what: &'static str, beside: &'static str, figure: Pick, other: Pick, limit: super::bar::Limit) -> Bar {
    Bar { what, beside, figure, against: Against::Figure(other), limit }
}

/// All bars, in the order of the table.
pub const BARS: &[Bar] = &[
    Bar {
        what: "user memory of the hub per idle stream, at 10,000",
        beside: "",
        figure: Pick {
            scenario: "memory",
            server: server::PHP_S,
            quantity: "memory_per_stream",
            role: Some("hub"),
            with: &[("streams", Number(10_000))],
        },
        against: Against::Itself("bytes"),
        limit: AtMost(0.6 * 1024.0),
    },
    ratio(
        "CPU a delivery on `php -S`, 1,000 streams",
        "the floor",
        cpu(server::PHP_S, AT_1000),
        cpu(server::FLOOR, AT_1000),
        AtMost(1.1),
    ),
    ratio(
        "CPU a delivery on `php -S`, 5,000 streams",
        "the floor",
        cpu(server::PHP_S, AT_5000),
        cpu(server::FLOOR, AT_5000),
        AtMost(1.1),
    ),
    ratio(
        "CPU a delivery on `php -S`, 1,000 streams",
        "nchan",
        cpu(server::PHP_S, AT_1000),
        cpu(server::NCHAN, AT_1000),
        AtMost(0.75),
    ),
    ratio(
        "CPU a delivery on `php -S`, 5,000 streams",
        "nchan",
        cpu(server::PHP_S, AT_5000),
        cpu(server::NCHAN, AT_5000),
        AtMost(0.75),
    ),
    ratio(
        "the hub's own CPU a delivery on FPM, 1,000 streams",
        "nchan's total",
        hub_cpu(AT_1000),
        cpu(server::NCHAN, AT_1000),
        AtMost(0.35),
    ),
    ratio(
        "the hub's own CPU a delivery on FPM, 5,000 streams",
        "nchan's total",
        hub_cpu(AT_5000),
        cpu(server::NCHAN, AT_5000),
        AtMost(0.35),
    ),
    ratio(
        "all CPU a delivery on nginx + FPM, 1,000 streams",
        "nchan",
        cpu(server::FPM, AT_1000),
        cpu(server::NCHAN, AT_1000),
        AtMost(1.7),
    ),
    ratio(
        "all CPU a delivery on nginx + FPM, 5,000 streams",
        "nchan",
        cpu(server::FPM, AT_5000),
        cpu(server::NCHAN, AT_5000),
        AtMost(1.7),
    ),
    ratio(
        "all CPU a delivery on nginx + FPM, 1,000 streams",
        "Pushpin",
        cpu(server::FPM, AT_1000),
        cpu(server::PUSHPIN, AT_1000),
        AtMost(0.5),
    ),
    ratio(
        "all CPU a delivery on nginx + FPM, 5,000 streams",
        "Pushpin",
        cpu(server::FPM, AT_5000),
        cpu(server::PUSHPIN, AT_5000),
        AtMost(0.5),
    ),
    ratio("p99 at 5,000 streams on `php -S`", "nchan", p99(server::PHP_S), p99(server::NCHAN), AtMost(0.8)),
    ratio(
        "`sse_publish`, acked, no reader",
        "phpredis PUBLISH",
        rate("publish", "sse_publish", UNREAD),
        rate("publish", "phpredis PUBLISH", UNREAD),
        AtLeast(1.1),
    ),
    ratio(
        "`sse_publish`, acked, 1,000 readers",
        "phpredis PUBLISH",
        rate("publish", "sse_publish", READ),
        rate("publish", "phpredis PUBLISH", UNREAD),
        AtLeast(1.1),
    ),
    ratio(
        "`sse_publish`, acked, no reader",
        "curl to nchan",
        rate("publish", "sse_publish", UNREAD),
        rate("publish", "curl to nchan", UNREAD),
        AtLeast(1.5),
    ),
    ratio(
        "`sse_publish`, acked, 1,000 readers",
        "curl to nchan, 1,000 readers",
        rate("publish", "sse_publish", READ),
        rate("publish", "curl to nchan", READ),
        AtLeast(50.0),
    ),
    Bar {
        what: "`sse_publish` without waiting for the answer",
        beside: "a bare PHP UDP send",
        figure: rate("publish", "sse_publish async", UNREAD),
        against: Against::Best(DATAGRAMS),
        limit: AtLeast(0.4),
    },
    Bar {
        what: "`SseTrigger::push`",
        beside: "a bare PHP UDP send on an open socket",
        figure: rate("publish", "SseTrigger::push", UNREAD),
        against: Against::Best(DATAGRAMS),
        limit: AtLeast(0.8),
    },
    ratio(
        "opening streams through nginx + FPM",
        "the pool's hello-world requests",
        rate("opening", server::FPM, &[("request", Word("stream"))]),
        rate("opening", server::FPM, &[("request", Word("hello"))]),
        AtLeast(0.5),
    ),
    ratio(
        "renders",
        "the pool's hello-world requests",
        rate("renders", server::FPM, &[("request", Word("render"))]),
        rate("renders", server::FPM, &[("request", Word("hello"))]),
        AtLeast(0.7),
    ),
    Bar {
        what: "idle CPU of the hub, 10,000 streams, 15 s heartbeats, of one core",
        beside: "",
        figure: Pick {
            scenario: "idle",
            server: server::PHP_S,
            quantity: "cpu",
            role: Some("hub"),
            with: &[("streams", Number(10_000))],
        },
        against: Against::Itself("%"),
        limit: AtMost(1.0),
    },
    ratio(
        "cost of a publish with no reader, 1 million topics known",
        "with 10 topics",
        Pick {
            scenario: "topics",
            server: "sse_publish",
            quantity: "cpu_per_publish",
            role: None,
            with: &[("topics", Number(1_000_000))],
        },
        Pick {
            scenario: "topics",
            server: "sse_publish",
            quantity: "cpu_per_publish",
            role: None,
            with: &[("topics", Number(10))],
        },
        Within(0.8, 1.2),
    ),
];

/// The table of all bars, as a run meets them.
pub fn markdown(results: &Results) -> String {
    let mut text = String::from("| | bar | measured | figures | |\n|---|---|--:|---|---|\n");
    for bar in BARS {
        text.push_str(&bar.row(results));
    }
    text
}

/// The same for a terminal.
pub fn text(results: &Results) -> String {
    BARS.iter().fold("Bars:\n".to_owned(), |text, bar| text + &bar.line(results))
}
