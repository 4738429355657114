<?php

/**
 * php-sse: live server-sent event streams that free their PHP worker. This file is the manual; it is never loaded.
 *
 * The format on the wire is that of the HTML standard, "Server-sent events"
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * A **topic** is a name of 1 to 255 bytes of UTF-8, segments joined by single dots, without white space, control
 * characters or `*`: `chat.general`, `orders.42.status`. A **pattern** is a topic in which `*` stands for one segment and
 * `**`, as the last segment, for one or more: `orders.*.status`, `orders.**`, `**`. A pattern with a wildcard has at most 16
 * segments.
 */

/**
 * Makes the response of this request an event stream, and frees the worker.
 *
 * Without `$render`, every event published to a topic that matches is sent to the client as it is, until the client
 * leaves. A client that comes back with the id of the last event it has (an EventSource sends it as the header
 * `Last-Event-ID`; for the first connection of a page there is the parameter `lastEventId` of the URL, see
 * {@see sse_cursor()}) first gets what it has missed, in order and once. If some of that is not kept any more
 * (`sse.history_events`, `sse.history_ttl`, `sse.history_bytes`), or the id is not known (the hub was restarted), it is told
 * before the rest by an event of the type `gap`, without an id, whose data is a JSON object: `requested`, the id asked for,
 * and `oldest`, the id of the oldest event that follows, or null. After it come the newest events only, at most
 * `sse.history_events` of them and half of `sse.stream_buffer`. The page should then load its state anew. With `sse.bus`,
 * such an event can come at any time, when Redis has lost events or may have; both are null then.
 *
 * With `$render`, the client gets what that callback returns: it runs once at the beginning, and again each time one of the
 * topics wakes (an event was published, or {@see SseTrigger::push()} was called). In between, the stream costs no worker:
 * on a wake the hub sends the original request to the server again (a replay), with the same cookies, headers, parameters
 * and body. The script runs from the top as always, with session, login and routing, and what its callback returns goes to
 * the stream; the response of the replay is thrown away. See {@see sse_render()} for code that should not run again.
 *
 * ```php
 * session_start();
 * $user = $_SESSION['user'] ?? null;
 * if ($user === null) { http_response_code(403); exit; }
 * sse_stream("orders.$user", fn (array $events) => $db->openOrders($user));
 * ```
 *
 * The function lets the session go (what is in `$_SESSION` can still be read), empties all output buffers (what was echoed
 * into them is thrown away), sends the headers (`Content-Type: text/event-stream`, `Cache-Control: no-cache`,
 * `X-Accel-Buffering: no`) and gives the client's connection to the hub, which holds it from then on. It never calls exit:
 * the script goes on, and what it still outputs is thrown away.
 *
 * **Permission is asked again at each render.** A replay that does not get to `sse_stream()` and answers 401, 403, 404 or
 * 410, or redirects (to a login page), ends the stream; the client comes back, gets that answer itself, and an EventSource
 * stops. The topics are those that the last replay passed. With any other answer, or none within `sse.render_timeout`,
 * the stream stays and it is tried again, after about a quarter of a second at first and about a minute at most; the hub's
 * log says which script failed and why. A replay uses the session as a request does: it may wait for its lock, and keeps it
 * alive. Cookies that it sets don't reach the client.
 *
 * Where the server can't hand over (the command line, CGI, mod_php with HTTPS, `sse.detach=off`, or, for a stream whose
 * request has to be sent again, a socket that the hub may not connect to: PHP's log says which),
 * it serves the same stream in this worker, and returns when the client has left or the hub has stopped. The callback then
 * runs in this process each time, so permission is not asked again before the client reconnects. With `sse.detach=require`
 * the client gets 503 with `Retry-After` instead, except on the command line.
 *
 * **What a client chooses, or load brings about, holds no worker.** With a callback or `reauthorize`, a request with a body of
 * more than 64 KiB, with files, or of more than 192 KiB in all is answered with 413. Where there is no room in the hub, where
 * it does not answer in time, or where the server has just turned its requests away, the client gets 503 with `Retry-After`.
 * A hub that ends meanwhile is replaced by the next one; the callback's first run may then happen again.
 *
 * @param string|array<string> $topics  A pattern, or a list of them; at most `sse.max_topics` (100).
 * @param callable|null        $render  `function (array $events): mixed`. It gets what has happened on the topics since its
 *                                      last run, a list of {@see SseEvent}, empty on the first run and when `poll` or
 *                                      `reauthorize` is the reason. Wakes of one topic are told once. Where more events came
 *                                      than are kept (1,000, or `sse.max_event_size` bytes), the oldest are dropped (all of
 *                                      them, where all callbacks together have more than `sse.render_bytes`), and wakes of
 *                                      more than 64 topics are dropped all; then the list begins with a wake of `**`:
 *                                      anything may have changed. It returns
 *                                      null (nothing is sent), an SseEvent, an array of SseEvents or a generator (each item
 *                                      is an event, nulls are passed over), or any other value, which is one event named by the option `event`: a
 *                                      string as it is, anything else as JSON. An empty array is a value, `[]`. Together
 *                                      at most `sse.max_event_size` bytes. What it throws leaves `sse_stream()`; what it
 *                                      outputs is thrown away.
 * @param array<string, mixed> $options For all streams: `heartbeat` (int, seconds of silence after which a comment is sent,
 *                                      0 to 86400, 0: never; default `sse.heartbeat`), `retry` (int, the reconnection time
 *                                      told to the client first, in milliseconds, 0 to 86400000, 0: not told; default
 *                                      `sse.retry`; each client is told up to `sse.retry_jitter` percent more, at random),
 *                                      `max_lifetime` (int, seconds, 0 to 31536000, after which the hub ends the stream in
 *                                      good order, less a random tenth at most, and the client comes back; 0: never; default
 *                                      `sse.max_lifetime`), `user` (string, 1 to 255 bytes: whose stream it is, the same key in all
 *                                      scripts; default nobody's), `max_per_user` (int, with `user`: streams that this user may
 *                                      have, this one included, 0: any number; default `sse.max_streams_per_user`), `over_limit` (string, with
 *                                      `user`: what happens when there would be one too many. `refuse`, the default: the new one
 *                                      gets 429. `replace`: the user's oldest stream ends, and the new one begins; the client of
 *                                      that one is told by `retry:` to come back after 30 seconds (or its own `retry`, if that
 *                                      is longer), so that two clients don't replace each other more often than that, and gets
 *                                      an event `replaced` with the same number, `{"retry":30000}`, at which a page may close
 *                                      its EventSource. One that is behind is told nothing), `detach` (bool, false: serve in this worker; default by
 *                                      `sse.detach`), `headers` (array of name => value, further response headers, in place
 *                                      of those of the same name; default none), `reauthorize` (int, seconds, 0 to 86400:
 *                                      replay the request when it was not replayed for so long, to ask whether the client
 *                                      may still have the stream. One without a callback ends if its script did not get to
 *                                      sse_stream() for twice that time, or for twice `sse.render_timeout` where that is
 *                                      longer, and the client comes back; default 0, never), `last_event_id` (string: the last event that the
 *                                      client has, without a callback; default the header, or the parameter), `topics_as`
 *                                      (string, without a callback: tells the client the topics of each event, of those that
 *                                      the stream watches, so that it can share one stream among many topics. `field`: by a
 *                                      line `topic: NAME` for each, which clients that don't know it ignore. `envelope`: the
 *                                      data is a JSON object, `{"topics": [NAME], "event": TYPE or null, "data": TEXT}`, for
 *                                      the browser's EventSource. The stream also begins with the id of the newest event of
 *                                      all, `cursor`, and tells by `reached` when all up to that has been sent, after which
 *                                      the client can go on from there, even if it has got no event; default null: not told).
 *                                      With a callback: `event` (string, the name of events that are returned as mere
 *                                      values; default none, which browsers dispatch as `message`), `initial` (bool, false:
 *                                      no run at the beginning; default true), `only_changes` (bool, false: output that is
 *                                      the same as what was sent last is sent again; default true), `poll` (float, seconds,
 *                                      0.1 to 86400: run it also when nothing woke for so long; default none), `share`
 *                                      (string, 1 to 255 bytes: all streams of this script with the same key are rendered
 *                                      once, by replaying the requests of each in turn; default none). **With `share`, every
 *                                      one of these clients gets what was rendered for another one: the key must contain
 *                                      everything that the output depends on, such as the user's id, and that is the
 *                                      caller's promise; the extension can't check it.** One render asks the permission of one of
 *                                      them, the next in turn; one whose key is another at its turn is ended, comes back, and
 *                                      joins those it now shares with.
 *                                      `$topics` and `share` are those of the last replay; all other options those of the
 *                                      first call.
 *
 * @return bool True at once, when the hub has the stream, or in a replay, when it has what was rendered. False, when the
 *              response is complete: the stream was served in this worker and is over, or the request was HEAD (headers
 *              only), or the client was refused. It was told by 503 with `Retry-After` if there was no room for another stream
 *              (`sse.max_streams`, `sse.render_bytes`, `sse.topic_bytes`, the hub's descriptor limit) or no hub that answered in time, by 429
 *              if its address or user has as much as it may have (`sse.max_streams_per_ip`, `max_per_user` unless
 *              `over_limit` is `replace`, an eighth of `sse.render_bytes` or `sse.topic_bytes`), by 413, 400 or 505 if its request was not one that a stream can have.
 *
 * @throws SseInvalidArgument A topic, pattern or option breaks a rule, or what `$render` returned can't be sent; the message
 *                            names the value and the rule.
 * @throws SseUnavailable     No hub runs and none can be started; on the command line also if it does not answer within
 *                            `sse.timeout`.
 * @throws SseException       The headers are already sent, the response has been finished, an output callback is running,
 *                            a setting can't be used, or `$render` has called `sse_stream()` or has sent output itself
 *                            (`ob_end_flush()`, `flush()`).
 * @throws FiberError         In `$render`, where it would leave the fiber that `sse_stream()` was called in.
 *                            After each of these the request is as it was (buffers and headers untouched, and the session,
 *                            unless `$render` has run).
 */
function sse_stream(string|array $topics, ?callable $render = null, array $options = []): bool {}

/**
 * Whether this request is a replay: sent by the hub, to run the callback of a stream that it holds. For code that counts or
 * limits requests, and for logs.
 *
 * ```php
 * if (sse_render() === null) { $limiter->hit($_SERVER['REMOTE_ADDR']); }
 * ```
 *
 * No client can pretend to be one: a replay carries a secret of the hub that is good for this one request.
 *
 * @return array{reason: string, stream: int, last_event_id: string}|null Null in an ordinary request. Otherwise why it was
 *         sent (`wake`, `poll`, `reauthorize`, or `retry` after a failure), the hub's number of the stream, as its log has
 *         it, and the last id that the stream was sent (empty: none), which is the Last-Event-ID header of the replay. The
 *         reason `over`, with 0 and nothing, is that of a replay which came too late: its stream has ended, nobody waits
 *         for it, and `sse_stream()` runs no callback.
 */
function sse_render(): ?array {}

/**
 * Publishes an event to all streams and subscriptions that watch one of its topics. Each gets it once.
 *
 * All events of a hub have one order, the same for every reader.
 *
 * ```php
 * sse_publish('chat.general', ['from' => 'alice', 'text' => 'hi'], event: 'message');
 * ```
 *
 * @param string|array<string> $topics A topic, or a list of them; no wildcards.
 * @param mixed                $data   A string is sent as it is (UTF-8; any line ends); anything else as JSON, by PHP's own
 *                                     json_encode() with slashes and Unicode unescaped. At most `sse.max_event_size` bytes.
 * @param string|null          $event  The event's type, 1 to 255 bytes without line break or NUL. Null: browsers dispatch
 *                                     it as `message`.
 * @param string|null          $id     Your own id, 1 to 255 bytes without line break or NUL, and not of the shape of the hub's
 *     own (milliseconds, a hyphen, digits). Give no id twice: a client that comes back with it is told of a gap. Null: the hub
 *     gives one.
 * @param int|null             $retry  Reconnection time for the clients that get it, in milliseconds, 0 to 86400000.
 * @param string|null          $mode   When it is sent, and what the call waits for; null: as `sse.publish` says.
 *                                     `ack`: at once, and the call returns when the hub holds the event.
 *                                     `async`: at once, without waiting for the hub's answer. What the hub then refuses is
 *                                     told in its log and counted (`publish_refused`); a hub that ends at that moment may
 *                                     not have taken it. It waits only where the hub's socket is full, until the hub has
 *                                     read what was sent before, `sse.timeout` at most. Starts the hub where none runs.
 *                                     `commit`: at the end of the request, after shutdown functions, destructors and the
 *                                     last output, if the request succeeded; in order, within one `sse.timeout` for all.
 *                                     Dropped if it failed: by a fatal error (time and memory limits are such), an uncaught
 *                                     exception, a response status of 500 or above, or `exit` with another status than 0.
 *                                     A request in which an exception handler (set_exception_handler()) answers with
 *                                     another status, and one that PHP ends because its client has left, have succeeded.
 *                                     Under PHP-FPM the client has its response before; with other servers the hub may
 *                                     delay the response's end. What can't be sent then is told in PHP's error log.
 *                                     A forked child sends its own events and not its parent's. On the command line a
 *                                     request is the whole program: use `ack` in a worker that never ends.
 *
 * @return string The event's id: your own, or the hub's, `milliseconds-sequence`, which only grows. In the modes `async` and
 *                `commit` your own, or an empty string, as the hub's is not known yet.
 *
 * @throws SseInvalidArgument A topic, the data, name, id, retry or mode breaks a rule; in every mode at once.
 * @throws SseUnavailable     No hub (with `sse.bus`: no Redis) took the event within `sse.timeout`. If the message says that it is not known whether
 *                            it did, the event may still arrive. A request waits for a hub that doesn't answer no longer
 *                            than `sse.timeout` over all its calls: later ones fail at once. With `async`: there is none
 *                            and none can be started, or its socket stays full for `sse.timeout`; the event was not sent. With `commit`: never.
 * @throws SseException       A setting can't be used, or the request holds more back than `sse.commit_bytes` allows.
 * @throws JsonException      The data can't be encoded.
 */
function sse_publish(string|array $topics, mixed $data, ?string $event = null, ?string $id = null, ?int $retry = null, ?string $mode = null): string {}

/**
 * The id of the newest event. Put into a page before its data is read, and passed on to the stream as `lastEventId`, it
 * closes the gap between the two:
 *
 * ```php
 * $cursor = sse_cursor();
 * $messages = $db->messages();
 * ?><script>new EventSource('stream.php?lastEventId=<?= urlencode($cursor) ?>')</script><?php
 * ```
 *
 * @return string The hub's own id of that event, whatever its publisher gave it; where nothing was published yet, one that
 *                is smaller than all to come. Pass it on as it is: with `sse.bus` it is Redis's, and while Redis was never reached a word that stands for that.
 *
 * @throws SseUnavailable No hub runs and none can be started, or it does not answer within `sse.timeout`.
 */
function sse_cursor(): string {}

/**
 * The hub's figures: what there is now, and counters since it started. A hub that has taken over from another one
 * (sse_hub_upgrade()) goes on with that one's.
 *
 * ```php
 * echo sse_stats()['streams']['open'];
 * ```
 *
 * @return array<string, mixed> By name. More may be added; those that are there stay what they are.
 *   - `version`, `pid`: the hub's. `uptime`: seconds since it started. `upgrades`: times that another hub has taken over
 *     since then. `resident_bytes`: memory of its process, or of all its
 *     processes. `shards`: its threads that hold streams. `peers`: PHP processes that are connected now.
 *   - `processes`, with several that hold streams only (`sse.processes`): of `each` its `pid` (null while it is started anew),
 *     its `streams` and `resident_bytes`; how many were `lost`: killed, or failed, with their streams, and replaced.
 *   - `streams`: `open` now (subscriptions too); `held` now: offered by a worker that is still sending the headers;
 *     `opened`: that began; `closed`: ended, by why: `client` (it left), `slow` (it did not read: `sse.stream_buffer`,
 *     `sse.stall_timeout`, `sse.queue_bytes`),
 *     `error` (its connection failed otherwise), `shutdown` (the hub ended), `aborted` (its worker took it back before it
 *     began), `denied` (its script no longer allowed it), `unconfirmed` (its script did not say so in time, `reauthorize`),
 *     `moved` (its script gave it another `share`),
 *     `lifetime` (its time was over, `max_lifetime`), `replaced` (its user has begun another one, `over_limit`).
 *   - `refused`: streams, because of `full` (`sse.max_streams`), `per_ip` (`sse.max_streams_per_ip`), `per_user`
 *     (`max_per_user`), `topic_bytes` (`sse.topic_bytes`) or `descriptors` (the limit of open files); PHP processes
 *     (`peers`: of users that may not use this hub; `protocol`: of another version).
 *   - `visitors`: client addresses and users that have streams that are counted now.
 *   - `topics`: topics and patterns that are watched now. One that streams of several processes watch counts in each.
 *     `topic_bytes`: what is charged for them, for each stream that watches them (`sse.topic_bytes`).
 *   - `published`, `published_bytes`: events that were accepted (with `sse.bus` those of all machines), and their data. `publish_refused`: those that were not.
 *   - `triggers`: wakes by PHP, counted by topics. `triggers_refused`: of those that were no topic.
 *   - `delivered`: events written to streams, counted for each stream. `delivered_bytes`: everything written to streams.
 *     `heartbeats`: comments to silent streams. `queued_bytes`: what waits now for clients that read slowly, counted for each;
 *     `pinned_bytes`: the memory that is kept for them only (`sse.queue_bytes`).
 *   - `history`: `events`, `topics` and `bytes` that are kept in memory now; `resumed`: readers that came back with an id,
 *     `gaps`: of those, that were told of one; `given_up`: those whose workers had gone before it was found what they had missed. With `sse.history=sqlite:…` `file`: events `waiting` now to be written,
 *     `written`, in how many `commits`, `failures`; `problem`: why the file can't be written now, null if it can.
 *   - `bus`, with `sse.bus` only: `address` (without the password) and `stream`; `state`: `connecting`, `connected` or `away`,
 *     `since` when (Unix time), and the `problem`, null if there is none; `outages`; entries `read` from Redis, of them
 *     `refused` (no events); events of this hub that Redis has taken (`published`) and that it has not, or of which that is not
 *     known (`failed`); `waiting` and `waiting_bytes`: events that wait to be sent; `gaps`: times that events were lost, or may
 *     have been; `wakes_sent`, `wakes_received`: messages, of several topics each; `last_id`: the last entry that was read.
 *   - `renders`: `streams` now whose scripts can be run again, renders that are `queued` and `running` now, of
 *     these, that did not get to sse_stream() within a second, so that others don't wait for them (`late`); `done`;
 *     `coalesced`: wakes that another render answered as well; `unchanged`: the same output as before; `failed`, of which
 *     `timed_out`; `denied`: streams that their scripts ended; `refused`: streams that were refused as `sse.render_bytes`,
 *     or their address's eighth of it, was used up; `bytes` kept for them now, requests and events. How long those that were done took: `p50_ms`, `p99_ms`
 *     (null before the first), `seconds`: `sum`, and `buckets`, how many took no longer than each bound and longer than
 *     the one before.
 *   - `turns`: of the hub's main thread, which puts everything in order, so that a long turn holds everybody up. `seconds`: the
 *     processor's time that they took, `sum` and `buckets` as above; `longest_us`: the longest so far, in microseconds; `steps`:
 *     kept events, topics and callbacks that it has looked at one by one, `most_steps`: the most of them in one turn.
 *   - `udp`: the address it is `listening` at, null if at none; datagrams `received`, of them `wakes`, `garbage`,
 *     `unauthenticated`, `replayed` (had come before), and those that the system has `dropped`; `delayed`: wakes that were
 *     told later, or with others, as they came too often without a key (`sse.udp_rate`).
 *   - `notify`: the socket of the hub's own user that it is `listening` at for the same datagrams, null if at none; those
 *     `received`, of them `wakes`, `garbage`, and those of other users (`refused`).
 *
 * @throws SseUnavailable No hub runs and none can be started, or it does not answer within `sse.timeout`.
 */
function sse_stats(): array {}

/**
 * The figures of {@see sse_stats()} as OpenMetrics 1.0.0 text, which Prometheus and others read. They say how busy the site
 * is: let only the monitoring see them.
 *
 * ```php
 * if ($_SERVER['REMOTE_ADDR'] !== '10.0.0.5') { http_response_code(403); exit; }
 * header('Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8');
 * echo sse_metrics();
 * ```
 *
 * @return string Lines such as `sse_streams_open 12`, `sse_events_published_total 7041` and
 *                `sse_streams_ended_total{reason="slow"} 1`, each with its meaning above it.
 *
 * @throws SseUnavailable No hub runs and none can be started, or it does not answer within `sse.timeout`.
 */
function sse_metrics(): string {}

/**
 * Runs the hub in the foreground, for systemd and containers: `php -r 'sse_hub();'`. It logs to standard error unless
 * `sse.log` is set, and returns when SIGTERM or SIGINT ends it, all streams closed cleanly. After SIGHUP, or
 * sse_hub_upgrade(), another process is the hub; this one stays, and passes signals on to it.
 *
 * @throws SseException   Not on the command line; or a hub already runs at `sse.socket`; or a setting can't be used.
 * @throws SseUnavailable It can't listen at `sse.socket`.
 */
function sse_hub(): void {}

/**
 * Has a new hub take over from the one that runs, with this PHP's php-sse and its settings as they are now: after an
 * update, or to change settings of the hub. No stream is closed and no event is lost; for some milliseconds none is
 * delivered. Where no hub runs, one is started (not with `sse.spawn=off`).
 *
 * ```php
 * php -r 'print_r(sse_hub_upgrade());'     // as the user that the hub runs as
 * ```
 *
 * SIGHUP to the hub does the same with the hub's own settings and the sse.so that lies where the hub's came from.
 *
 * A hub whose version can't pass its streams on to this one is ended, and a new one started: its clients come back by
 * themselves. `sse.socket` and where events are kept (`sse.history`, `sse.bus`) can't be changed in this way.
 *
 * @return array{pid: int, streams: int, pause_ms: float|null} The new hub's process, the streams that it has, and how many
 *                                    milliseconds nothing was delivered; null where no hub could be taken over from.
 *
 * @throws SseException   It could not take over, and the hub that runs goes on; or a setting can't be used; or this is
 *                        a thread-safe PHP. It takes 30 seconds at most.
 * @throws SseUnavailable The socket or its lock can't be used, or it belongs to another user.
 */
function sse_hub_upgrade(): array {}

/**
 * Tells that topics changed, without data: a wake. It wakes the streams with a callback (see {@see sse_stream()}) and the
 * {@see SseSubscription}s that watch one of the topics; other streams get nothing.
 *
 * ```php
 * SseTrigger::push('notifications_timestamp_user_' . $userId);
 * ```
 */
final class SseTrigger
{
    /** There are no instances. */
    private function __construct() {}

    /**
     * Sends one small message to the hub. Never throws, never waits, never starts a hub: where none runs, nobody listens.
     *
     * @param string ...$topics Topics, no wildcards.
     *
     * @return bool True if it was handed to the hub; wakes that arrive together may be told once. False if it could not be
     *              taken: no topic, not a topic, no hub, or a hub that is behind.
     */
    public static function push(string ...$topics): bool {}
}

/**
 * An event, or a wake: as a PHP process reads it from a {@see SseSubscription} or in the callback of {@see sse_stream()},
 * or as such a callback returns it.
 *
 * ```php
 * return new SseEvent(['total' => 3], event: 'orders', id: '42');
 * ```
 */
final class SseEvent
{
    /**
     * An event to be returned from a callback.
     *
     * @param mixed       $data  A string is sent as it is; anything else as JSON.
     * @param string|null $event The event's type, 1 to 255 bytes without line break or NUL; null: none, which browsers
     *                           dispatch as `message`.
     * @param string|null $id    What the client sends back as Last-Event-ID, 1 to 255 bytes without line break or NUL;
     *                           null: none, the client keeps the one before.
     *
     * @throws SseInvalidArgument The type or the id breaks a rule.
     */
    public function __construct(mixed $data = null, ?string $event = null, ?string $id = null) {}

    /** The event's id; empty if it has none, as a wake. */
    public readonly string $id;

    /**
     * The topic it was published to (the first that the reader watches), or that changed; `**` if all did, or may have.
     * Empty if it was made by the constructor.
     */
    public readonly string $topic;

    /** The event's type, if it has one. */
    public readonly ?string $event;

    /**
     * The data: a string, as it was published (JSON where `sse_publish()` encoded it), null for a wake; what was given to
     * the constructor otherwise.
     */
    public readonly mixed $data;

    /** Whether this is a wake: something changed, no data. */
    public readonly bool $isTrigger;
}

/**
 * Events for a PHP process: a queue worker, a command, a test. It is active from the constructor on: what is published
 * after that is read, in order, once.
 *
 * ```php
 * foreach (new SseSubscription('orders.**') as $event) {
 *     handle($event->topic, json_decode($event->data));
 * }
 * ```
 *
 * Signal handlers (pcntl) run while it waits. It is read by the process that has made it; a forked child makes its own.
 *
 * @implements Iterator<int, SseEvent>
 */
final class SseSubscription implements Iterator
{
    /**
     * @param string|array<string> $topics  A pattern, or a list of them.
     * @param array<string, mixed> $options `timeout` (float, seconds: iteration ends when nothing came for so long, and
     *                                      can be taken up again; default null: it waits for ever), `last_event_id`
     *                                      (string: what came after this event is read first; a wake of `**` comes before
     *                                      it if some of that is not kept any more; default none).
     *
     * @throws SseInvalidArgument A pattern or option breaks a rule.
     * @throws SseUnavailable     No hub runs and none can be started, or it has no room, or does not answer in time.
     */
    public function __construct(string|array $topics, array $options = []) {}

    /** The event read last; null when none came in time. */
    public function current(): mixed {}

    /** How many events were read before the current one. */
    public function key(): int {}

    /**
     * Waits for the next event.
     *
     * @throws SseUnavailable The hub ended the subscription: it stopped, or this process read too slowly.
     * @throws SseException   The process that has made it has forked this one.
     */
    public function next(): void {}

    /**
     * Waits for the first event. Reading can't go back: later calls keep the current event.
     *
     * @throws SseUnavailable As {@see next()}.
     */
    public function rewind(): void {}

    /** Whether there is a current event. */
    public function valid(): bool {}
}

/** What php-sse throws. */
class SseException extends RuntimeException {}

/** There is no hub, or it does not answer; later it may. */
class SseUnavailable extends SseException {}

/** The caller's mistake; the message names the value and the rule. */
class SseInvalidArgument extends SseException {}
