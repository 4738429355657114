//! One colour a server, the same in every plot, to be told apart on a light and on a dark page and by those who see few colours.

use plotters::style::RGBColor;

use super::bars::server;

/// How a server is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Of its line, its points and its name.
    pub color: RGBColor,
    /// What its points look like, so that colour is not all that tells them apart.
    pub mark: Mark,
}

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// For php-sse.
    Disc,
    /// For the peers.
    Ring,
    /// For what is no peer, but a measure: the floor, a hello-world, a bare UDP send.
    Cross,
}

/// By the names that scenarios give servers, and what else they measure, in the order of tables and legends: php-sse
/// first, then what would be picked instead, then what is a measure only. A name that is not here is grey.
const LOOKS: &[(&str, RGBColor, Mark)] = &[
    (server::PHP_S, BLUE, Mark::Disc),
    (server::FPM, PURPLE, Mark::Disc),
    ("mod-php", TEAL, Mark::Disc),
    ("sse_publish", BLUE, Mark::Disc),
    ("sse_publish async", BLUE, Mark::Disc),
    ("SseTrigger::push", BLUE, Mark::Disc),
    (server::NCHAN, ORANGE, Mark::Ring),
    ("curl to nchan", ORANGE, Mark::Ring),
    (server::PUSHPIN, GREEN, Mark::Ring),
    ("curl to Pushpin", GREEN, Mark::Ring),
    ("phpredis PUBLISH", PINK, Mark::Ring),
    ("phpredis XADD", PINK, Mark::Ring),
    ("loops", RED, Mark::Ring),
    (server::FLOOR, GREY, Mark::Cross),
];
const BLUE: RGBColor = RGBColor(0x2f, 0x81, 0xf7);
const PURPLE: RGBColor = RGBColor(0xa3, 0x71, 0xf7);
const TEAL: RGBColor = RGBColor(0x1b, 0x9e, 0xa8);
const ORANGE: RGBColor = RGBColor(0xdb, 0x6d, 0x28);
const GREEN: RGBColor = RGBColor(0x2d, 0xa4, 0x4e);
const PINK: RGBColor = RGBColor(0xd1, 0x5c, 0xa5);
const RED: RGBColor = RGBColor(0xe5, 0x53, 0x4b);
const GREY: RGBColor = RGBColor(0x84, 0x8d, 0x97);

/// The look of the server of this name.
pub fn look(server: &str) -> Look {
    let known = LOOKS.iter().find(|(name, _, _)| *name == server);
    known.map_or(Look { color: GREY, mark: Mark::Cross }, |(_, color, mark)| Look { color: *color, mark: *mark })
}

/// Where a server stands in tables and legends.
pub fn rank(server: &str) -> usize {
    LOOKS.iter().position(|(name, _, _)| *name == server).unwrap_or(LOOKS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_server_a_colour_of_its_own() {
        let servers =
            [server::PHP_S, server::FPM, server::NCHAN, server::PUSHPIN, server::FLOOR, "phpredis XADD", "loops"];
        for (index, name) in servers.iter().enumerate() {
            assert!(servers[..index].iter().all(|other| look(other).color != look(name).color), "{name}");
        }
    }

    #[test]
    fn ranks_the_measures_last() {
        assert!(rank(server::PHP_S) < rank(server::NCHAN) && rank(server::NCHAN) < rank(server::FLOOR));
        assert!(rank(server::FLOOR) < rank("something new"));
    }
}
