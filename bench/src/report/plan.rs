//! What so many streams and events take, computed from what was measured: for docs/planning.md and docs/plan.html.

use std::fmt::Write as _;

use serde::Serialize;

use super::bars::server;
use super::number::{count, number, with_unit};
use crate::results::{Figure, Results, median};

/// What the plan is computed from, all of nginx + FPM on the machine of the kept run. What was not measured is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// User memory of the hub for an idle stream, in bytes.
    hub_memory: Option<f64>,
    /// The same of nginx.
    nginx_memory: Option<f64>,
    /// CPU of the hub for a delivery, in microseconds.
    hub_cpu: Option<Delivery>,
    /// The same of nginx.
    nginx_cpu: Option<Delivery>,
    /// CPU of the hub for an idle stream with heartbeats, in percent of a core.
    hub_idle: Option<f64>,
    /// The same of nginx.
    nginx_idle: Option<f64>,
    /// Streams opened in a second.
    opening: Option<f64>,
}

/// CPU for a delivery, by the event's size: a part for each delivery, and one for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Delivery {
    /// Microseconds.
    base: f64,
    /// Microseconds.
    per_byte: f64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Streams that are open at the same time.
    pub streams: u64,
    /// Events published in a second.
    pub events: f64,
    /// Bytes of data of an event.
    pub bytes: f64,
    /// The part of the streams that an event reaches: 1 is all of them.
    pub share: f64,
    /// Descriptors that one process may have.
    pub descriptors: u64,
}

/// Descriptors that the hub keeps for itself.
const OWN_DESCRIPTORS: u64 = 128;

/// What surrounds the data of an event on the wire: `id: …`, `data: …`, chunk, and the headers of TCP and IP.
const AROUND: f64 = 120.0;

/// What a wish takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    deliveries: f64,
    hub_memory: Option<f64>,
    nginx_memory: Option<f64>,
    hub_processes: u64,
    nginx_descriptors: u64,
    /// Cores of the measured machine that are busy.
    hub_cores: Option<f64>,
    nginx_cores: Option<f64>,
    /// Seconds until all streams are open again.
    reopening: Option<f64>,
    bytes_per_second: f64,
}

impl Measured {
    /// What the run has of it.
    pub fn of(results: &Results) -> Self {
        let largest = |scenario, quantity| largest(results, scenario, quantity);
        let memory = largest("memory", "memory_per_stream");
        let idle = largest("idle", "cpu");
        let each = |figure: &Figure, share: f64| figure.number("streams").map(|streams| share / streams as f64);
        Self {
            hub_memory: memory.and_then(|figure| figure.median_of("hub")),
            nginx_memory: memory.and_then(|figure| figure.median_of("nginx")),
            hub_cpu: delivery(results, "hub"),
            nginx_cpu: delivery(results, "nginx"),
            hub_idle: idle.and_then(|figure| each(figure, figure.median_of("hub")?)),
            nginx_idle: idle.and_then(|figure| each(figure, figure.median_of("nginx")?)),
            opening: results.find("opening", server::FPM, "rate", &[("request", "stream".into())]).map(Figure::median),
        }
    }

    /// What a wish takes.
    pub fn plan(&self, wish: Wish) -> Plan {
        let streams = wish.streams as f64;
        let deliveries = wish.events * streams * wish.share;
        let cores = |cpu: Option<Delivery>, idle: Option<f64>| {
            let busy = deliveries * cpu?.of(wish.bytes) / 1e6;
            Some(busy + idle.unwrap_or(0.0) * streams / 100.0)
        };
        Plan {
            deliveries,
            hub_memory: self.hub_memory.map(|each| each * streams),
            nginx_memory: self.nginx_memory.map(|each| each * streams),
            hub_processes: wish.streams.div_ceil(wish.descriptors.saturating_sub(OWN_DESCRIPTORS).max(1)).max(1),
            nginx_descriptors: wish.streams * 2,
            hub_cores: cores(self.hub_cpu, self.hub_idle),
            nginx_cores: cores(self.nginx_cpu, self.nginx_idle),
            reopening: self.opening.map(|rate| streams / rate),
            bytes_per_second: deliveries * (wish.bytes + AROUND),
        }
    }
}

impl Delivery {
    fn of(self, bytes: f64) -> f64 {
        self.base + self.per_byte * bytes
    }
}

/// The figure of nginx + FPM with the most streams.
fn largest<'a>(results: &'a Results, scenario: &str, quantity: &str) -> Option<&'a Figure> {
    results
        .figures
        .iter()
        .filter(|figure| figure.scenario == scenario && figure.server == server::FPM && figure.quantity == quantity)
        .max_by_key(|figure| figure.number("streams"))
}

/// A role's share of a delivery at 1,000 streams, where both sizes are measured; the same for each size where one is.
fn delivery(results: &Results, role: &str) -> Option<Delivery> {
    let at = |bytes: u64| {
        let figure = results.find(
            "fanout",
            server::FPM,
            "cpu_per_delivery",
            &[("streams", 1000.into()), ("bytes", bytes.into())],
        )?;
        figure.by_role.get(role).map(|values| median(values))
    };
    let small = at(100)?;
    let per_byte = at(10_240).map_or(0.0, |large| ((large - small) / (10_240.0 - 100.0)).max(0.0));
    Some(Delivery { base: small - per_byte * 100.0, per_byte })
}

/// The table for the sizes that people ask about, an event of 100 bytes a second to all streams.
pub fn markdown(results: &Results) -> String {
    let measured = Measured::of(results);
    if measured == Measured::default() {
        return String::new();
    }
    let sizes = [1_000, 10_000, 50_000, 100_000];
    let descriptors = 20_000;
    let plans =
        sizes.map(|streams| measured.plan(Wish { streams, events: 1.0, bytes: 100.0, share: 1.0, descriptors }));
    let mut text = String::from("| streams |");
    for streams in sizes {
        let _ = write!(text, " {} |", count(streams));
    }
    text.push_str("\n|---|--:|--:|--:|--:|\n");
    let mut row = |name: &str, cell: &dyn Fn(&Plan) -> String| {
        let cells: Vec<String> = plans.iter().map(cell).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    row("user memory of the hub", &|plan| shown("bytes", plan.hub_memory));
    row("user memory of nginx", &|plan| shown("bytes", plan.nginx_memory));
    row("deliveries a second", &|plan| number(plan.deliveries));
    row("cores busy in the hub", &|plan| shown("", plan.hub_cores));
    row("cores busy in nginx", &|plan| shown("", plan.nginx_cores));
    row("to the clients, with headers", &|plan| format!("{}/s", with_unit("bytes", plan.bytes_per_second)));
    row("all streams open again after a restart of nginx", &|plan| shown("s", plan.reopening));
    row("descriptors of all nginx workers", &|plan| count(plan.nginx_descriptors));
    row("processes of the hub, at 20,000 descriptors each", &|plan| count(plan.hub_processes));
    text
}

fn shown(unit: &str, figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| with_unit(unit, figure))
}

/// What the calculator reads, as a script element of data.
///
/// # Errors
/// It can't be written as JSON.
pub fn script(results: &Results) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string_pretty(&Measured::of(results))?;
    Ok(format!("<script type=\"application/json\" id=\"measured\">\n{json}\n</script>\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn measured() -> Measured {
        let mut results = Results::default();
        let mut push = |scenario: &str, quantity: &str, bytes: Option<u64>, streams: u64, hub: f64, nginx: f64| {
            let mut parameters = BTreeMap::from([("streams".into(), streams.into())]);
            parameters.extend(bytes.map(|bytes| ("bytes".to_owned(), bytes.into())));
            results.push(Figure {
                scenario: scenario.into(),
                server: server::FPM.into(),
                parameters,
                quantity: quantity.into(),
                unit: String::new(),
                values: vec![hub + nginx],
                by_role: BTreeMap::from([("hub".into(), vec![hub]), ("nginx".into(), vec![nginx])]),
            });
        };
        push("memory", "memory_per_stream", None, 1000, 500.0, 9000.0);
        push("memory", "memory_per_stream", None, 10_000, 250.0, 8000.0);
        push("idle", "cpu", None, 10_000, 1.0, 2.0);
        push("fanout", "cpu_per_delivery", Some(100), 1000, 4.0, 20.0);
        push("fanout", "cpu_per_delivery", Some(10_240), 1000, 14.14, 20.0);
        Measured::of(&results)
    }

    #[test]
    fn takes_the_figures_of_many_streams() {
        let measured = measured();
        assert_eq!((measured.hub_memory, measured.nginx_memory), (Some(250.0), Some(8000.0)));
        assert_eq!(measured.hub_idle, Some(1e-4));
        let cpu = measured.hub_cpu.unwrap();
        assert!((cpu.of(100.0) - 4.0).abs() < 1e-9 && (cpu.of(10_240.0) - 14.14).abs() < 1e-9, "{cpu:?}");
        assert_eq!(measured.opening, None);
    }

    #[test]
    fn computes_what_a_wish_takes() {
        let wish = Wish { streams: 100_000, events: 2.0, bytes: 100.0, share: 0.5, descriptors: 20_000 };
        let plan = measured().plan(wish);
        assert_eq!((plan.hub_processes, plan.nginx_descriptors), (6, 200_000));
        assert_eq!((plan.deliveries, plan.hub_memory), (100_000.0, Some(25e6)));
        // 100,000 deliveries of 4 µs, and ten times the heartbeats of 10,000 streams.
        assert!((plan.hub_cores.unwrap() - 0.5).abs() < 1e-9, "{plan:?}");
        assert_eq!(plan.reopening, None);
    }
}
