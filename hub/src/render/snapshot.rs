//! Streams whose scripts are run again, as they are passed from hub to hub. Runs under way go on in the new one: their
//! connections are passed as well.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_bytes::Bytes;

use crate::event::Event;
use crate::quota::budget::Account;
use crate::render::attempt::{Exchange, Response, Run};
use crate::render::client::Client;
use crate::render::figures::Figures;
use crate::render::job::{Member, State, Unit};
use crate::render::meter::Metered;
use crate::render::pending::{Happened, Pending};
use crate::render::request::Request;
use crate::render::upstream::{Address, Listener, NoReplay};
use crate::render::{Renders, TokenOf};
use crate::shard::index::Watcher;
use crate::stream::Trigger;
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::state::{
    Activity, AddressState, HappenedState, MemberState, Part, PendingState, RendersState, ResponseState, RunState,
    ServerState, UnitState,
};

impl Renders {
    /// What is passed on beside units, servers and runs.
    pub(crate) fn state(&self) -> RendersState {
        RendersState { queue: self.queue.jobs(), serials: self.serials, figures: self.figures.state() }
    }

    /// Passes everything on.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let now = Instant::now();
        let servers = self.listeners.iter().map(|listener| listener.state(now)).collect();
        outgoing.part(&Part::Servers(servers), &[])?;
        let units: Vec<_> = self.units.iter().map(|(key, unit)| (key as u32, unit)).collect();
        for group in units.chunks(ITEMS) {
            let states = group.iter().map(|&(key, unit)| self.unit_state(key, unit, now, outgoing));
            let part = Part::Units(states.collect());
            outgoing.part(&part, &[])?;
        }
        let exchanges: Vec<&Exchange> = self.exchanges.iter().map(|(_, exchange)| exchange).collect();
        for group in exchanges.chunks(ITEMS) {
            let part = Part::Runs(group.iter().map(|exchange| exchange.state(now, outgoing)).collect());
            let sockets: Vec<_> = group.iter().map(|exchange| exchange.socket()).collect();
            outgoing.part(&part, &sockets)?;
        }
        Ok(())
    }

    fn unit_state<'a>(&'a self, key: u32, unit: &'a Unit, now: Instant, outgoing: &mut Outgoing<'_>) -> UnitState<'a> {
        let Unit {
            serial,
            members,
            listener,
            share,
            render,
            seen: _,
            places,
            watched,
            pending,
            due,
            state,
            failures,
            not_before,
            timer: _,
            last_run,
            only_changes,
            poll,
            reauthorize,
            sent,
            output,
            last_id,
            account,
        } = unit;
        let members = members.iter().map(|Member { stream, client, request, open }| {
            let Request { script, remote, last_event_id, fields, body, http, reservation } = request;
            MemberState {
                stream: *stream,
                whose: client.state(),
                open: *open,
                script,
                remote: remote.as_ref().map(|remote| (&*remote.0, &*remote.1)),
                last_event_id: last_event_id.as_deref(),
                fields: fields.iter().map(|&part| outgoing.blob(self.pool.shared(part))).collect(),
                body: body.as_deref().map(Bytes::new),
                http: http.as_ref().map(|http| (&*http.0, &*http.1)),
                client: reservation.account().client(),
            }
        });
        UnitState {
            key,
            serial: *serial,
            members: members.collect(),
            listener: *listener,
            share: share.as_deref(),
            render: *render,
            patterns: places.iter().map(|&place| self.index.pattern(place)).collect(),
            watched: *watched,
            pending: pending.state(outgoing),
            due: *due,
            activity: match state {
                State::Resting => Activity::Resting,
                State::Queued => Activity::Queued,
                State::Running => Activity::Running,
            },
            failures: *failures,
            not_before: not_before.map(|at| at.saturating_duration_since(now)),
            last_run: last_run.map(|at| now.saturating_duration_since(at)),
            only_changes: *only_changes,
            poll: *poll,
            reauthorize: *reauthorize,
            sent: *sent,
            output: output.as_ref().map(|output| outgoing.blob(output.bytes())),
            last_id: last_id.as_deref(),
            client: account.client(),
        }
    }

    /// Goes on from what another hub's have counted and queued.
    pub(crate) fn inherit(&mut self, state: &RendersState) {
        let RendersState { queue, serials, figures } = state;
        self.serials = *serials;
        self.figures = Figures::restore(figures);
        self.requeue(queue);
    }

    /// Takes servers that another hub has passed on, before the units that they are of.
    pub(crate) fn adopt_servers(&mut self, servers: &[ServerState<'_>]) {
        let now = Instant::now();
        self.listeners.extend(servers.iter().map(|server| Listener::restore(server, now)));
    }

    /// Takes units that another hub has passed on. They keep their keys, and so have their places once all have come.
    pub(crate) fn adopt_units(
        &mut self,
        units: &[UnitState<'_>],
        tables: &Tables,
        arrived: &mut Arrived,
    ) -> io::Result<()> {
        let now = Instant::now();
        for state in units {
            if state.listener as usize >= self.listeners.len() {
                return Err(wrong("a server"));
            }
            let key = state.key;
            let mut unit = self.restore_unit(state, tables, arrived, now)?;
            let watcher = |nth| Watcher { stream: key, nth };
            unit.places = (0..).zip(&state.patterns).map(|(nth, name)| self.index.insert(name, watcher(nth))).collect();
            self.by_stream.extend(unit.members.iter().map(|member| (member.stream, key)));
            if let (Some(share), Some(member)) = (&unit.share, unit.members.first()) {
                self.shares.insert((Arc::clone(&member.request.script), unit.listener, share.clone()), key);
            }
            self.listeners[unit.listener as usize].units += 1;
            arrived.units.push((key as usize, unit));
        }
        Ok(())
    }

    /// Gives all units their places.
    pub(crate) fn settle(&mut self, arrived: &mut Arrived) {
        if arrived.units.is_empty() {
            return;
        }
        let units = std::mem::take(&mut arrived.units);
        let keys: Vec<_> = units.iter().map(|(key, _)| *key as u32).collect();
        self.units = units.into_iter().collect();
        keys.into_iter().for_each(|key| self.set_timer(key));
    }

    fn restore_unit(
        &mut self,
        state: &UnitState<'_>,
        tables: &Tables,
        arrived: &mut Arrived,
        now: Instant,
    ) -> io::Result<Unit> {
        let mut members = Vec::with_capacity(state.members.len());
        for MemberState { stream, whose, open, script, remote, last_event_id, fields, body, http, client } in
            &state.members
        {
            let pair = |&(one, two): &(&str, &str)| Box::new((one.into(), two.into()));
            let account = self.budget.of_client(*client);
            let fields = fields.iter().map(|&number| Ok(self.pool.take(&tables.blob(number)?, &account)));
            let request = Request {
                fields: fields.collect::<io::Result<_>>()?,
                script: self.script(script),
                remote: remote.as_ref().map(pair),
                last_event_id: last_event_id.map(Into::into),
                body: body.map(|body| body.to_vec().into()),
                http: http.as_ref().map(pair),
                reservation: account.take(0),
            };
            let request = request.counted();
            members.push(Member { stream: *stream, client: Client::restore(*whose), request, open: *open });
        }
        let account = self.budget.of_client(state.client);
        Ok(Unit {
            serial: state.serial,
            members,
            listener: state.listener,
            share: state.share.map(Into::into),
            render: state.render,
            seen: 0,
            places: Box::default(),
            watched: state.watched,
            pending: arrived.pending(&state.pending, tables, (&account, &self.common))?,
            due: state.due,
            state: match state.activity {
                Activity::Resting => State::Resting,
                Activity::Queued => State::Queued,
                Activity::Running => State::Running,
            },
            failures: state.failures,
            not_before: state.not_before.map(|left| now + left),
            timer: None,
            last_run: state.last_run.map(|ago| before(now, ago)),
            only_changes: state.only_changes,
            poll: state.poll,
            reauthorize: state.reauthorize,
            sent: state.sent,
            output: state.output.map(|number| tables.frames(number)).transpose()?,
            last_id: state.last_id.map(Into::into),
            account,
        })
    }

    /// Takes runs that another hub has passed on, after their units.
    pub(crate) fn adopt_runs(
        &mut self,
        runs: &[RunState<'_>],
        sockets: Vec<OwnedFd>,
        tables: &Tables,
        arrived: &mut Arrived,
        token_of: TokenOf,
    ) -> io::Result<()> {
        self.settle(arrived);
        let now = Instant::now();
        for (state, socket) in runs.iter().zip(sockets) {
            if state.unit.is_some_and(|(key, _)| !self.units.contains(key as usize)) {
                return Err(wrong("the unit of a run"));
            }
            let script = self.script(state.script);
            let unit = state.unit.and_then(|(key, _)| self.units.get(key as usize));
            let accounts = (unit.map_or(&self.common, |unit| &unit.account), &self.common);
            let taken = state.taken.as_ref().map(|taken| arrived.pending(taken, tables, accounts)).transpose()?;
            let exchange = Exchange::restore(state, script, taken, socket, now)?;
            let place = self.admit(exchange);
            self.exchanges[place].register(token_of(place), &self.registry)?;
            self.unread.push(place);
        }
        Ok(())
    }
}

impl Listener {
    fn state(&self, now: Instant) -> ServerState<'_> {
        let Self { address, proved, probed, silences, parked, paused, pauses, refused, units: _ } = self;
        let left = |at: Instant| at.saturating_duration_since(now);
        ServerState {
            address: match address {
                Address::Unix(path) => AddressState::Unix(Bytes::new(path.as_os_str().as_bytes())),
                Address::Internet(address) => AddressState::Internet(*address),
            },
            proved: *proved,
            probed: *probed,
            silences: *silences,
            parked: parked.clone(),
            paused: paused.map(left),
            pauses: *pauses as u32,
            refused: refused.as_ref().map(|(until, no)| (left(*until), no.cause, no.why.as_str())),
        }
    }

    fn restore(state: &ServerState<'_>, now: Instant) -> Self {
        let ServerState { address, proved, probed, silences, parked, paused, pauses, refused } = state;
        Self {
            address: match address {
                AddressState::Unix(path) => Address::Unix(std::ffi::OsString::from_vec(path.to_vec()).into()),
                AddressState::Internet(address) => Address::Internet(*address),
            },
            proved: *proved,
            probed: *probed,
            silences: *silences,
            parked: parked.clone(),
            paused: paused.map(|left| now + left),
            pauses: *pauses as usize,
            refused: refused.map(|(left, cause, why)| (now + left, NoReplay::new(cause, why))),
            units: 0,
        }
    }
}

impl Pending {
    fn state(&self, outgoing: &mut Outgoing<'_>) -> PendingState<'_> {
        let Self { kept, bytes: _, missing, topics: _, reservation: _ } = self;
        let kept = kept.iter().map(|happened| match happened {
            Happened::Event(event) => HappenedState::Event(outgoing.event(event.value())),
            Happened::Trigger(trigger) => HappenedState::Trigger(trigger.topic()),
        });
        PendingState { kept: kept.collect(), missing: *missing }
    }
}

/// What has come of another hub's renders.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Units with their keys, until all have come.
    units: Vec<(usize, Unit)>,
    /// What callbacks are to be told, each counted once: events by their numbers, triggers by their topics.
    events: HashMap<u32, Arc<Metered<Event>>>,
    triggers: HashMap<Box<str>, Arc<Metered<Trigger>>>,
}

impl Arrived {
    /// `own` counts the list, `common` what others keep as well.
    fn pending(
        &mut self,
        state: &PendingState<'_>,
        tables: &Tables,
        (own, common): (&Account, &Account),
    ) -> io::Result<Pending> {
        let mut kept = VecDeque::with_capacity(state.kept.len());
        for happened in &state.kept {
            kept.push_back(match happened {
                HappenedState::Event(number) => {
                    let event = tables.event(*number)?;
                    let metered = self.events.entry(*number);
                    let event = metered.or_insert_with(|| Metered::new(&event, event.message().len(), common));
                    Happened::Event(Arc::clone(event))
                }
                HappenedState::Trigger(topic) => {
                    let metered = self.triggers.entry((*topic).into()).or_insert_with(|| {
                        let trigger = Arc::new(Trigger::new(topic));
                        Metered::new(&trigger, trigger.len(), common)
                    });
                    Happened::Trigger(Arc::clone(metered))
                }
            });
        }
        Ok(Pending::restore(kept, state.missing, own))
    }
}

impl Exchange {
    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn state(&self, now: Instant, outgoing: &mut Outgoing<'_>) -> RunState<'_> {
        let Self { socket: _, out, sent, response, heard, end: _, run } = self;
        let Run {
            token,
            claimed,
            unit,
            wanted,
            stream,
            client,
            script,
            listener,
            started,
            deadline,
            reached,
            arrived,
            late,
            rendered,
            taken,
            reason,
        } = run;
        RunState {
            out: Bytes::new(out),
            sent: *sent as u64,
            response: match response {
                Response::FastCgi(response) => ResponseState::FastCgi(response.clone()),
                Response::Http(response) => ResponseState::Http(response.clone()),
            },
            heard: *heard,
            token,
            claimed: *claimed,
            unit: *unit,
            wanted: *wanted,
            stream: *stream,
            whose: client.state(),
            script,
            listener: *listener,
            started: now.saturating_duration_since(*started),
            deadline: deadline.saturating_duration_since(now),
            reached: *reached,
            arrived: *arrived,
            late: *late,
            rendered: *rendered,
            taken: taken.as_ref().map(|taken| taken.state(outgoing)),
            reason: reason.as_deref(),
        }
    }

    fn restore(
        state: &RunState<'_>,
        script: Arc<str>,
        taken: Option<Pending>,
        socket: OwnedFd,
        now: Instant,
    ) -> io::Result<Self> {
        Ok(Self {
            socket,
            out: state.out.to_vec(),
            sent: usize::try_from(state.sent)
                .ok()
                .filter(|sent| *sent <= state.out.len())
                .ok_or_else(|| wrong("a run"))?,
            response: match &state.response {
                ResponseState::FastCgi(response) => Response::FastCgi(response.clone()),
                ResponseState::Http(response) => Response::Http(response.clone()),
            },
            heard: state.heard,
            end: None,
            run: Run {
                token: state.token.into(),
                claimed: state.claimed,
                unit: state.unit,
                wanted: state.wanted,
                stream: state.stream,
                client: Client::restore(state.whose),
                script,
                listener: state.listener,
                started: before(now, state.started),
                deadline: now + state.deadline,
                reached: state.reached,
                arrived: state.arrived,
                late: state.late,
                rendered: state.rendered,
                taken,
                reason: state.reason.map(Into::into),
            },
        })
    }
}

/// Some time ago; now, if that was before the system's clock began.
fn before(now: Instant, ago: Duration) -> Instant {
    now.checked_sub(ago).unwrap_or(now)
}
