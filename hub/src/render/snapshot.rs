//! Renders in an upgrade: the old hub sends jobs, upstreams and attempts, the new one restores them. Attempts in progress
//! continue, as their connections are sent too.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_bytes::Bytes;

use crate::event::Event;
use crate::index::Watcher;
use crate::quota::budget::Account;
use crate::render::attempt::{Attempt, ReplayRun, UpstreamResponse};
use crate::render::client::ClientHash;
use crate::render::figures::RenderStats;
use crate::render::job::{Job, JobPhase, Subscriber};
use crate::render::meter::Metered;
use crate::render::pending::{Happened, Pending};
use crate::render::request::ReplayRequest;
use crate::render::state::{
    Activity, AddressState, HappenedState, JobState, PendingState, RendersState, ResponseState, RunState, ServerState,
    SubscriberState,
};
use crate::render::upstream::{NoReplay, Upstream, UpstreamAddress};
use crate::render::{Renders, TokenOf};
use crate::stream::Trigger;
use crate::upgrade::incoming::{Tables, wrong};
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::part::PartKind;

impl Renders {
    /// The state beside jobs, upstreams and attempts.
    pub(crate) fn state(&self) -> RendersState {
        RendersState { queue: self.queue.jobs(), serials: self.serials, figures: self.figures.state() }
    }

    /// Sends everything to the new hub.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let now = Instant::now();
        let servers: Vec<_> = self.upstreams.iter().map(|upstream| upstream.state(now)).collect();
        outgoing.part(PartKind::Servers, &servers, &[])?;
        let jobs: Vec<_> = self.jobs.iter().map(|(key, job)| (key as u32, job)).collect();
        for group in jobs.chunks(ITEMS) {
            let states = group.iter().map(|&(key, job)| self.job_state(key, job, now, outgoing));
            let states: Vec<_> = states.collect();
            outgoing.part(PartKind::Jobs, &states, &[])?;
        }
        let attempts: Vec<&Attempt> = self.attempts.iter().map(|(_, attempt)| attempt).collect();
        for group in attempts.chunks(ITEMS) {
            let states: Vec<_> = group.iter().map(|attempt| attempt.state(now, outgoing)).collect();
            let sockets: Vec<_> = group.iter().map(|attempt| attempt.socket()).collect();
            outgoing.part(PartKind::Runs, &states, &sockets)?;
        }
        Ok(())
    }

    fn job_state<'a>(&'a self, key: u32, job: &'a Job, now: Instant, outgoing: &mut Outgoing<'_>) -> JobState<'a> {
        let Job {
            serial,
            subscribers,
            upstream,
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
        } = job;
        let subscribers = subscribers.iter().map(|Subscriber { stream, client, request, open }| {
            let ReplayRequest { script, remote, last_event_id, fields, body, http, reservation } = request;
            SubscriberState {
                stream: *stream,
                whose: client.state(),
                open: *open,
                script,
                remote: remote.as_ref().map(|remote| (&*remote.0, &*remote.1)),
                last_event_id: last_event_id.as_deref(),
                fields: fields.iter().map(|&part| outgoing.blob(self.interner.shared(part))).collect(),
                body: body.as_deref().map(Bytes::new),
                http: http.as_ref().map(|http| (&*http.0, &*http.1)),
                client: reservation.account().client(),
            }
        });
        JobState {
            key,
            serial: *serial,
            subscribers: subscribers.collect(),
            upstream: *upstream,
            share: share.as_deref(),
            render: *render,
            patterns: places.iter().map(|&place| self.index.pattern(place)).collect(),
            watched: *watched,
            pending: pending.state(outgoing),
            due: *due,
            activity: match state {
                JobPhase::Resting => Activity::Resting,
                JobPhase::Queued => Activity::Queued,
                JobPhase::Running => Activity::Running,
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

    /// Restores the old hub's counters and queue.
    pub(crate) fn inherit(&mut self, state: &RendersState) {
        let RendersState { queue, serials, figures } = state;
        self.serials = *serials;
        self.figures = RenderStats::restore(figures);
        self.requeue(queue);
    }

    /// Restores upstreams; they must come before their jobs.
    pub(crate) fn adopt_upstreams(&mut self, servers: &[ServerState<'_>]) {
        let now = Instant::now();
        self.upstreams.extend(servers.iter().map(|server| Upstream::restore(server, now)));
    }

    /// Restores jobs under their old keys. They get their places in the slab once all have arrived.
    pub(crate) fn adopt_jobs(
        &mut self,
        jobs: &[JobState<'_>],
        tables: &Tables,
        arrived: &mut Arrived,
    ) -> io::Result<()> {
        let now = Instant::now();
        for state in jobs {
            if state.upstream as usize >= self.upstreams.len() {
                return Err(wrong("a server"));
            }
            let key = state.key;
            let mut job = self.restore_job(state, tables, arrived, now)?;
            let watcher = |nth| Watcher { stream: key, nth };
            job.places = (0..).zip(&state.patterns).map(|(nth, name)| self.index.insert(name, watcher(nth))).collect();
            self.by_stream.extend(job.subscribers.iter().map(|subscriber| (subscriber.stream, key)));
            if let (Some(share), Some(subscriber)) = (&job.share, job.subscribers.first()) {
                self.shares.insert((Arc::clone(&subscriber.request.script), job.upstream, share.clone()), key);
            }
            self.upstreams[job.upstream as usize].jobs += 1;
            arrived.jobs.push((key as usize, job));
        }
        Ok(())
    }

    /// Puts all jobs into the slab.
    pub(crate) fn settle(&mut self, arrived: &mut Arrived) {
        if arrived.jobs.is_empty() {
            return;
        }
        let jobs = std::mem::take(&mut arrived.jobs);
        let keys: Vec<_> = jobs.iter().map(|(key, _)| *key as u32).collect();
        self.jobs = jobs.into_iter().collect();
        keys.into_iter().for_each(|key| self.set_timer(key));
    }

    fn restore_job(
        &mut self,
        state: &JobState<'_>,
        tables: &Tables,
        arrived: &mut Arrived,
        now: Instant,
    ) -> io::Result<Job> {
        let mut subscribers = Vec::with_capacity(state.subscribers.len());
        for SubscriberState { stream, whose, open, script, remote, last_event_id, fields, body, http, client } in
            &state.subscribers
        {
            let pair = |&(one, two): &(&str, &str)| Box::new((one.into(), two.into()));
            let account = self.budget.of_client(*client);
            let fields = fields.iter().map(|&number| Ok(self.interner.take(&tables.blob(number)?, &account)));
            let request = ReplayRequest {
                fields: fields.collect::<io::Result<_>>()?,
                script: self.script(script),
                remote: remote.as_ref().map(pair),
                last_event_id: last_event_id.map(Into::into),
                body: body.map(|body| body.to_vec().into()),
                http: http.as_ref().map(pair),
                reservation: account.take(0),
            };
            let request = request.counted();
            subscribers.push(Subscriber { stream: *stream, client: ClientHash::restore(*whose), request, open: *open });
        }
        let account = self.budget.of_client(state.client);
        Ok(Job {
            serial: state.serial,
            subscribers,
            upstream: state.upstream,
            share: state.share.map(Into::into),
            render: state.render,
            seen: 0,
            places: Box::default(),
            watched: state.watched,
            pending: arrived.pending(&state.pending, tables, (&account, &self.common))?,
            due: state.due,
            state: match state.activity {
                Activity::Resting => JobPhase::Resting,
                Activity::Queued => JobPhase::Queued,
                Activity::Running => JobPhase::Running,
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

    /// Restores attempts in progress; they must come after their jobs.
    pub(crate) fn adopt_runs(
        &mut self,
        runs: &[RunState<'_>],
        sockets: Vec<OwnedFd>,
        tables: &Tables,
        arrived: &mut Arrived,
        token_of: TokenOf,
    ) -> io::Result<()> {
        if runs.len() != sockets.len() {
            return Err(wrong("the number of descriptors"));
        }
        self.settle(arrived);
        let now = Instant::now();
        for (state, socket) in runs.iter().zip(sockets) {
            if state.job.is_some_and(|(key, _)| !self.jobs.contains(key as usize)) {
                return Err(wrong("the job of an attempt"));
            }
            let script = self.script(state.script);
            let job = state.job.and_then(|(key, _)| self.jobs.get(key as usize));
            let accounts = (job.map_or(&self.common, |job| &job.account), &self.common);
            let taken = state.taken.as_ref().map(|taken| arrived.pending(taken, tables, accounts)).transpose()?;
            let mut attempt = Attempt::restore(state, script, taken, socket, now)?;
            let subscriber =
                job.and_then(|job| job.subscribers.iter().find(|subscriber| subscriber.stream == state.stream));
            attempt.run.address = subscriber.and_then(|subscriber| subscriber.request.client());
            let place = self.admit(attempt);
            self.attempts[place].register(token_of(place), &self.registry)?;
            self.unread.push(place);
        }
        Ok(())
    }
}

impl Upstream {
    fn state(&self, now: Instant) -> ServerState<'_> {
        let Self { address, proved, probed, silences, waiting, paused, pauses, refused, jobs: _ } = self;
        let left = |at: Instant| at.saturating_duration_since(now);
        ServerState {
            address: match address {
                UpstreamAddress::Unix(path) => AddressState::Unix(Bytes::new(path.as_os_str().as_bytes())),
                UpstreamAddress::Internet(address) => AddressState::Internet(*address),
            },
            proved: *proved,
            probed: *probed,
            silences: *silences,
            waiting: waiting.clone(),
            paused: paused.map(left),
            pauses: *pauses as u32,
            refused: refused.as_ref().map(|(until, no)| (left(*until), no.cause, no.why.as_str())),
        }
    }

    fn restore(state: &ServerState<'_>, now: Instant) -> Self {
        let ServerState { address, proved, probed, silences, waiting, paused, pauses, refused } = state;
        Self {
            address: match address {
                AddressState::Unix(path) => UpstreamAddress::Unix(std::ffi::OsString::from_vec(path.to_vec()).into()),
                AddressState::Internet(address) => UpstreamAddress::Internet(*address),
            },
            proved: *proved,
            probed: *probed,
            silences: *silences,
            waiting: waiting.clone(),
            paused: paused.map(|left| now + left),
            pauses: *pauses as usize,
            refused: refused.map(|(left, cause, why)| (now + left, NoReplay::new(cause, why))),
            jobs: 0,
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

/// Parts of the old hub's renders that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Jobs with their keys, until all have arrived.
    jobs: Vec<(usize, Job)>,
    /// Pending events by number and notifications by topic, each charged once.
    events: HashMap<u32, Arc<Metered<Event>>>,
    triggers: HashMap<Box<str>, Arc<Metered<Trigger>>>,
}

impl Arrived {
    /// `own` is charged for the list, `common` for what others keep too.
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

impl Attempt {
    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn state(&self, now: Instant, outgoing: &mut Outgoing<'_>) -> RunState<'_> {
        let Self { socket: _, out, sent, response, heard, end: _, run } = self;
        let ReplayRun {
            token,
            claimed,
            job,
            wanted,
            stream,
            client,
            address: _,
            script,
            upstream,
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
                UpstreamResponse::FastCgi(response) => ResponseState::FastCgi(response.clone()),
                UpstreamResponse::Http(response) => ResponseState::Http(response.clone()),
            },
            heard: *heard,
            token,
            claimed: *claimed,
            job: *job,
            wanted: *wanted,
            stream: *stream,
            whose: client.state(),
            script,
            upstream: *upstream,
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
                ResponseState::FastCgi(response) => UpstreamResponse::FastCgi(response.clone()),
                ResponseState::Http(response) => UpstreamResponse::Http(response.clone()),
            },
            heard: state.heard,
            end: None,
            run: ReplayRun {
                token: state.token.into(),
                claimed: state.claimed,
                job: state.job,
                wanted: state.wanted,
                stream: state.stream,
                client: ClientHash::restore(state.whose),
                address: None,
                script,
                upstream: state.upstream,
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

/// The instant `ago` before `now`; `now` if the clock can't represent that.
fn before(now: Instant, ago: Duration) -> Instant {
    now.checked_sub(ago).unwrap_or(now)
}
