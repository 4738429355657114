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
 * segments. Topics that begin with `$` are the hub's own: nobody else publishes to them, and a pattern that begins with a
 * wildcard does not match them; `$presence.chat` tells who is on `chat`, see {@see sse_presence()}. Only `$mercure.public.…` and
 * `$mercure.private.…` can be published to, and `$mercure.match.…` and `$mercure.allow.…` be watched (and the same with `_exact` and
 * `_urlpattern`): they stand for topics and selectors of Mercure, see docs/internals/mercure.md, and may be up to 3,072 bytes long.
 */

/**
 * Whether a topic selector of Mercure matches a topic. Of version 0.x: it is `*`, the same text, or a URI template (RFC 6570) that
 * some values of its variables expand to the topic. Takes time that grows with the topic times the selector, whatever they are.
 *
 * ```php
 * sse_mercure_matches('https://example.com/books/{id}', 'https://example.com/books/1');                    // true
 * sse_mercure_matches('https://example.com/books/:id', 'https://example.com/books/1', 'urlpattern');       // true
 * ```
 *
 * @param string      $selector 1 to 1,024 bytes; a URI template has up to 16 variables, a URL pattern up to 16 groups and
 *                              wildcards, see docs/guide/mercure.md.
 * @param string      $topic    1 to 1,024 bytes.
 * @param string|null $kind     `exact` or `urlpattern`: it is such a matcher of version 1.0 (or `*`). Null: a selector of 0.x.
 *
 * @throws SseInvalidArgument One of them is empty or too long, is no URL pattern that is taken, or exceeds a limit, which the message
 *                            names; or there is no such kind.
 */
function sse_mercure_matches(string $selector, string $topic, ?string $kind = null): bool {}

/**
 * The active subscriptions of Mercure: of streams by patterns of `Sse\Mercure\Name::subscription()` that have the option
 * `presence`, with `sse.bus` on all machines. The hub also publishes a private update when one begins, and when it ends, to the
 * topic `/.well-known/mercure/subscriptions/{topic}/{subscriber}`, in which `{subscriber}` is the member's id. If the member's
 * `info` is an array, its `payload` is shown to those who may read these updates; `payloads`, by pattern, comes before it; with
 * `version` `1.0`, all is told as in that version. The endpoint of the library does all this: docs/guide/mercure.md.
 *
 * ```php
 * foreach (json_decode(sse_mercure_subscriptions()['json']) as $subscription) {
 *     echo "$subscription->subscriber $subscription->topic\n";
 * }
 * ```
 *
 * @param string|null $pattern    Those by this one: `Name::subscription('https://example.com/books/{id}')`. Null: all.
 * @param string|null $subscriber Only that of the member with this id.
 * @param string|null $after      The `next` of an earlier call, for the next page. Null: from the first.
 * @param int         $limit      Most subscriptions to return, 1 to 1,000,000.
 *
 * @return array{json: string, last_event_id: string, next: string|null} A JSON array of the documents that Mercure's
 *     specification describes; the id of the newest event before that (or `earliest`), so that a stream which begins there
 *     misses no change; and where more follow, what to pass as `$after`.
 *
 * @throws SseInvalidArgument The pattern or the limit breaks a rule.
 * @throws SseUnavailable     As {@see sse_presence()}.
 */
function sse_mercure_subscriptions(?string $pattern = null, ?string $subscriber = null, ?string $after = null, int $limit = 1000): array {}

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
 * **A client may ask for a response that ends soon**, where a proxy holds back what has not ended, by parameters of the URL:
 * `maxLifetime`, seconds after which it ends at the latest, which shortens `max_lifetime` and never extends it; and `longPoll=1`, by
 * which it ends with the first events that it brings, and after 25 seconds where there is no `maxLifetime`. A long-poll of a client
 * without a last event ends at once, and tells from where the next one can go on. SSEManager asks for them by itself.
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
 * into them is thrown away), sends the headers (`Content-Type: text/event-stream; charset=utf-8`,
 * `Cache-Control: no-cache, no-transform`, `X-Accel-Buffering: no`) and gives the client's connection to the hub, which holds it from then on. It never calls exit:
 * the script goes on, and what it still outputs is thrown away.
 *
 * **Permission is asked again at each render.** A replay that ends without `sse_stream()`, with any status below 500 but
 * 429 (it refuses, redirects to a login page), ends the stream; the client comes back, gets that answer itself,
 * and an EventSource stops. With 204 it counts as finished. The topics are those that the last replay passed. Where it answers 5xx or 429, throws, or does not
 * answer within `sse.render_timeout`, the stream stays and it is tried again, after about a quarter of a second at first and
 * about a minute at most; the hub's log says which script failed and why. A replay uses the session as a request does: it may wait for its lock, and keeps it
 * alive. Cookies that it sets don't reach the client.
 *
 * Where the server can't hand over (the command line, CGI, mod_php with HTTPS, `sse.detach=off`, or, for a stream whose
 * request has to be sent again, a socket that the hub may not connect to: PHP's log says which),
 * it serves the same stream in this worker, and returns when the client has left or the hub has stopped. The callback then
 * runs in this process each time, so permission is not asked again before the client reconnects. With `sse.detach=require`
 * the client gets 503 with `Retry-After` instead, except on the command line. With `sse.detach=redirect` the web server fetches the
 * stream from the hub, if it is set up for that (docs/operations/servers.md).
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
 *                                      string as it is, anything else as JSON. An empty array is a value, `[]`. An
 *                                      {@see SseEnd}, by itself or as the last item, ends the stream for good. Together
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
 *                                      its EventSource. One that is behind is told nothing), `presence` (array, `['id' => …, 'info' => …]`: who
 *                                      is there, an int or string of 1 to 255 bytes, and what others are told of them, any
 *                                      value, at most 4096 bytes as JSON; default nobody. They are a member of each topic in
 *                                      `$topics` that has no wildcard and at most 245 bytes, see {@see sse_presence()}),
 *                                      `presence_events` (bool, without a callback; true: the client is told who is on these
 *                                      topics. It first gets an event of the type `presence.list` for each, and later
 *                                      `presence.join` and `presence.leave`, all without an id. The data is a JSON object:
 *                                      `topic`; `count`, the number of members; `members`, a list of `id`, `info` and
 *                                      `since`, in milliseconds since 1970. Joins and leaves of a moment come together, on
 *                                      large topics those of up to a second. A list of more than 64 KiB is cut, and has
 *                                      `"more":true`; default false), `detach` (bool, false: serve in this worker; default by
 *                                      `sse.detach`), `headers` (array of name => value, further response headers, in place
 *                                      of those of the same name; default none), `reauthorize` (int, seconds, 0 to 86400:
 *                                      replay the request when it was not replayed for so long, to ask whether the client
 *                                      may still have the stream. One without a callback ends if its script did not get to
 *                                      sse_stream() for twice that time, or for twice `sse.render_timeout` where that is
 *                                      longer, and the client comes back; default 0, never), `last_event_id` (string: the last event that the
 *                                      client has, without a callback; default the header, or the parameter),
 *                                      `last_event_id_header` (bool or string, without a callback, true or the header's name:
 *                                      where the client has a last event, the response header `Last-Event-ID`, or that one, is
 *                                      its id if the stream goes on after it without a gap, otherwise `earliest`; for HEAD,
 *                                      too; default false), `stream_id`
 *                                      (bool, true: the client is told the stream's public id before anything else, by an
 *                                      event of the type `stream` without an id, whose data is `{"stream":"ID"}`; a page
 *                                      names its stream by it in later requests. An id is 22 characters, can't be guessed,
 *                                      and lasts as long as the stream: a client that comes back has another one. A callback
 *                                      gets it as its second argument, `?string $stream`; with `share`, that of the stream
 *                                      which it runs for; default false), `retained` (bool,
 *                                      without a callback: the client first gets the last value of each topic, see `$retain` of
 *                                      sse_publish(), in their order, each once and not again among what it has missed. They
 *                                      have no `id` line, so that they do not change where the client goes on; with `topics_as`
 *                                      their id is told as `retained: ID`, or `"retained"` in the envelope; default false), `spread`
 *                                      (int, milliseconds, 0 to 60000, without a callback: the client is told each event
 *                                      at a random moment within so long, as with `$spread` of sse_publish(); the longer of
 *                                      both counts; default 0), `topics_as`
 *                                      (string, without a callback: tells the client the topics of each event, of those that
 *                                      the stream watches, so that it can share one stream among many topics. `field`: by a
 *                                      line `topic: NAME` for each, which clients that don't know it ignore. `envelope`: the
 *                                      data is a JSON object, `{"topics": [NAME], "event": TYPE or null, "data": TEXT}`, for
 *                                      the browser's EventSource. The stream also begins with the id of the newest event of
 *                                      all, `cursor`, and tells by `reached` when all up to that has been sent, after which
 *                                      the client can go on from there, even if it has got no event; by `field` also with
 *                                      `heartbeat`, the milliseconds between heartbeats; default null: not told).
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
 *              only), or the client was refused, or has everything already of a stream that is over for good
 *              (204: {@see sse_finish()}, {@see SseEnd}). It was told by 503 with `Retry-After` if there was no room for another stream
 *              (`sse.max_streams`, `sse.render_bytes`, `sse.topic_bytes`, `sse.template_steps`, the hub's descriptor limit) or no hub that answered in time, by 429
 *              if its address or user has as much as it may have (`sse.max_streams_per_ip`, `max_per_user` unless
 *              `over_limit` is `replace`, an eighth of `sse.render_bytes`, `sse.topic_bytes` or `sse.template_steps`), by 413, 400 or 505 if its request was not one that a stream can have.
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
 * @return array{reason: string, stream: int, stream_id: string, last_event_id: string, topics: list<string>}|null Null in an ordinary request.
 *         Otherwise why it was sent (`wake`, `poll`, `reauthorize`, or `retry` after a failure), the hub's number of the
 *         stream, as its log has it, its public id (see the option `stream_id`), the last id that the stream was sent (empty:
 *         none), which is the Last-Event-ID header of the replay, and `topics`: of a stream with `stream_id` and no callback what
 *         it watches now, {@see sse_retopic()} included, otherwise nothing. A script with `reauthorize` checks whether the client
 *         may have these, and passes the same topics to sse_stream() as before, which changes nothing. The
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
 * @param string|list<string> $topics A topic, or a list of them; no wildcards and no names as keys.
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
 * @param string|null          $key    Names the publication, in 1 to 255 bytes, `order-42-paid`: a later call with the same key
 *                                     within `sse.key_ttl` (300 s), by any process of the site, publishes nothing and returns
 *                                     the first one's id, so that a call whose outcome is not known can be repeated. Hub-wide;
 *                                     with `sse.history=sqlite:…` also after a crash of the hub, with `sse.bus` on all
 *                                     machines. The oldest are forgotten above `sse.key_bytes`. At most 1,000 topics. Null: none.
 * @param bool                 $retain Whether the event also becomes the last value of its topics (1,000 at most), which is kept
 *                                     apart from the history until the next one: see {@see sse_retained()} and the option
 *                                     `retained` of {@see sse_stream()}. As in MQTT, null or '' as data removes the last value;
 *                                     who watches gets an event without data. In memory up to `sse.retain_bytes`, the newest;
 *                                     with `sse.history=sqlite:…` also in the file, with `sse.bus` also in Redis.
 * @param string|null          $except The public id of a stream that does not get the event when it is published (option
 *                                     `stream_id` of {@see sse_stream()}): that of the client which has caused it, and shows it
 *                                     already. An id that is no open stream's excludes nobody, so it may come from a client
 *                                     as it is. History has the event for everybody: a client that comes back has another
 *                                     stream, and gets it. A callback with `share` runs for it, as it runs for others, too.
 * @param bool                 $latest Whether only the newest such event of the same topics (in any order) matters, as of a price
 *                                     or a position: one that still waits for a client which reads slowly, or that a client
 *                                     has missed which comes back, is not sent any more when a newer one follows. So a ticker
 *                                     never fills `sse.stream_buffer`. Other events keep their order. A client that keeps up
 *                                     gets each, and so does a callback.
 * @param int                  $spread Milliseconds, 0 to 60000, within which each client is told, each at a random moment, so that
 *                                     pages which fetch something on an event do not all come at once. What follows for a
 *                                     client waits behind it; heartbeats do not. It is told earlier where its stream
 *                                     ends, or `sse.stream_buffer` is full. A client that comes back gets what it has
 *                                     missed at once; callbacks and {@see SseSubscription}s are told at once, too.
 * @param bool                 $report Whether an {@see SseReceipt} is returned, which also says how many clients' streams of this
 *                                     machine the event went to. The call waits for that, and so it needs the mode `ack`.
 * @param string|null          $traceparent W3C's Trace Context of what publishes, 55 bytes such as
 *                                     `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`: {@see SseEvent} has it in callbacks and
 *                                     subscriptions, on all machines, and the hub's log at the level `debug`. Clients are not told, and
 *                                     `sse.history=sqlite:…` does not keep it. Null: none.
 *
 * @return ($report is true ? SseReceipt : string) The event's id: your own, or the hub's, `milliseconds-sequence`, which only grows. In the modes `async` and
 *                `commit` your own, or an empty string, as the hub's is not known yet.
 *
 * @throws SseInvalidArgument A topic, the data, name, id, retry or mode breaks a rule, or `$report` is given with another mode than
 *                            `ack`; in every mode at once.
 * @throws SseUnavailable     No hub (with `sse.bus`: no Redis) took the event within `sse.timeout`. If the message says that it is not known whether
 *                            it did, the event may still arrive. A request waits for a hub that doesn't answer no longer
 *                            than `sse.timeout` over all its calls: later ones fail at once. With `async`: there is none
 *                            and none can be started, or its socket stays full for `sse.timeout`; the event was not sent. With `commit`: never.
 * @throws SseException       A setting can't be used, or the request holds more back than `sse.commit_bytes` allows.
 * @throws JsonException      The data can't be encoded.
 */
function sse_publish(string|array $topics, mixed $data, ?string $event = null, ?string $id = null, ?int $retry = null, ?string $mode = null, ?string $key = null, bool $retain = false, ?string $except = null, bool $latest = false, int $spread = 0, bool $report = false, ?string $traceparent = null): string|SseReceipt {}

/**
 * The last value of a topic: its newest event that was published with `$retain`.
 *
 * ```php
 * sse_publish('sensors.kitchen', ['celsius' => 21.5], retain: true);
 * echo sse_retained('sensors.kitchen')?->data;      // {"celsius":21.5}
 * ```
 *
 * @param string $topic A topic, without wildcards.
 *
 * @return SseEvent|null Null where there is none: nothing was retained, it was removed, or it was dropped because of
 *                       `sse.retain_bytes`.
 *
 * @throws SseInvalidArgument It is no topic.
 * @throws SseUnavailable     No hub runs and none can be started, or it does not answer within `sse.timeout`.
 */
function sse_retained(string $topic): ?SseEvent {}

/**
 * Ends open streams in good order: what is queued is sent, then the response ends. The client comes back after its reconnection
 * time, as after any end of a stream, and is asked for its permission anew: to keep it away, let the script refuse it then.
 *
 * ```php
 * $users->block($id);
 * sse_disconnect(user: "user-$id");
 * ```
 *
 * Exactly one of `$user`, `$stream` and `$topic` must be given. With `sse.bus` the streams of all machines end.
 *
 * @param string|null $user   The option `user` of {@see sse_stream()}: all streams of this user, 1 to 255 bytes.
 * @param string|null $stream The public id of one stream (option `stream_id`, {@see sse_streams()}). One that is no open stream's
 *                            ends none, so it may come from a client as it is.
 * @param string|null $topic  A topic, without wildcards: all clients' streams that get what is published to it; those of PHP
 *                            processes (SseSubscription) go on.
 * @param int|null    $retry  Reconnection time that these clients are told first, in milliseconds, 0 to 86400000. Null: they
 *                            keep the one that they have.
 *
 * @return int|null How many of this machine's streams end, by `$user` or `$stream`. Null by `$topic`: what a stream watches is
 *                  known to its own thread only, and the call does not wait for these.
 *
 * @throws SseInvalidArgument Not exactly one of them is given, or one breaks a rule.
 * @throws SseUnavailable     No hub runs and none can be started, it does not answer within `sse.timeout`, or the other
 *                            machines can't be told because too much waits for Redis.
 * @throws SseException       This process belongs to another user than the hub.
 */
function sse_disconnect(?string $user = null, ?string $stream = null, ?string $topic = null, ?int $retry = null): ?int {}

/**
 * Changes what an open stream watches, without a new connection. **Check first that the client may watch the new topics**: this
 * function does not run the stream's script.
 *
 * ```php
 * if (!$rooms->mayRead($user, $room)) { http_response_code(403); exit; }
 * $cursor = sse_retopic($_POST['stream'], add: ["chat.$room"], user: "user-$user");
 * ```
 *
 * The change is in order with all events: the stream gets every later event of its new topics, and none of those that were
 * removed, and loses none of those it keeps. It gets nothing of a new topic from before; load that, then wait for events after
 * the id that is returned. When the client comes back, its script says what it watches: the page must ask for the new topics.
 *
 * @param string        $stream The public id of the stream (option `stream_id` of {@see sse_stream()}), as the client says it.
 * @param array<string> $add    Patterns to watch as well. Those that it watches already are no error.
 * @param array<string> $remove Patterns to watch no longer, as they were given before; `$remove` goes last.
 * @param string|null   $user   The stream's user (option `user`). Of a stream that has none, null. So no client changes a stream
 *                              of somebody else whose id it has seen.
 *
 * @return string|null The id of the newest event at that moment ({@see sse_cursor()}): the change holds for all later ones.
 *                     Null: this machine has no such stream, or it is another user's.
 *
 * @throws SseInvalidArgument A pattern or the user breaks a rule, the stream would watch more than `sse.max_topics` patterns or
 *                            none, or it has a callback, whose script says its topics at each run.
 * @throws SseUnavailable     The hub does not answer within `sse.timeout`, or the topics are too many bytes for its address or
 *                            for all (`sse.topic_bytes`).
 * @throws SseException       This process belongs to another user than the hub.
 */
function sse_retopic(string $stream, array $add = [], array $remove = [], ?string $user = null): ?string {}

/**
 * Finishes a topic: publishes its last event, and ends for good the streams that wait for nothing else. For a job that is
 * done, an auction that is closed, an answer that has been given in full.
 *
 * ```php
 * foreach ($rows as $done => $row) {
 *     import($row);
 *     sse_publish("import.$id", ['done' => $done, 'of' => count($rows)]);
 * }
 * sse_finish("import.$id", ['report' => $url], 'finished');
 * ```
 *
 * A stream of {@see sse_stream()} without a callback ends when all its topics are finished, after the last event; one that
 * watches a pattern with a wildcard stays. The hub remembers each finished topic and its last event for `sse.finished_ttl`
 * seconds, in `sse.finished_bytes` (with `sse.history=sqlite:…` through restarts, with `sse.bus` on all machines). A client
 * that comes back with the id of an earlier event gets what it has missed, then the last event, and its stream ends. One that
 * opens its first stream only then, without an id, gets the last event of each topic. **One that has the last event is answered
 * with 204**, after which an EventSource does not come back: `sse_stream()` sends it and returns false.
 *
 * Whatever is published on the topic later begins it anew. Streams with a callback are rendered as for any other event; they
 * end when the callback returns an {@see SseEnd}. A {@see SseSubscription} goes on. With the option `topics_as` the last event
 * has a line `finished: 1`, or `"finished": true` in its envelope.
 *
 * Only the hub's own user may finish a topic, no member of `sse.socket_group`. The mode is that of `sse.publish`.
 *
 * @param string      $topic The topic, no wildcards.
 * @param mixed       $data  The last event's data: a string as it is, anything else as JSON; null: none (an empty string).
 * @param string|null $event The last event's type; null: none, which browsers dispatch as `message`.
 *
 * @return string As of {@see sse_publish()}: the event's id; empty where that is not known yet.
 *
 * @throws SseInvalidArgument The topic, the type or the data break a rule.
 * @throws SseUnavailable     As for sse_publish().
 * @throws SseException       More is held back until the end of the request than `sse.commit_bytes` allows, or a setting
 *                            can't be used.
 */
function sse_finish(string $topic, mixed $data = null, ?string $event = null): string {}

/**
 * Who is on a topic: the users that streams named by the option `presence` of {@see sse_stream()}.
 *
 * A user is a member of a topic while at least one stream of theirs watches it (with `sse.bus`: on any machine),
 * and for `sse.presence_grace` milliseconds longer, so that a page that is loaded anew is no leave. Of several streams the newest one's
 * `info` counts. Streams with a `$render` count as well, for the topics of their first call.
 *
 * ```php
 * sse_stream('room.7', options: ['presence' => ['id' => $user->id, 'info' => ['name' => $user->name]]]);
 * // elsewhere
 * foreach (sse_presence('room.7') as $id => $member) {
 *     echo $member['info']['name'], ' since ', date('H:i', (int) $member['since']), "\n";
 * }
 * ```
 *
 * A subscription or a callback that watches `$presence.room.7` gets an event for joins and leaves, with the data that
 * `presence_events` has for clients.
 *
 * @param string      $topic A topic without wildcards.
 * @param string|null $after The id after which to begin, for the next page. Null: from the first.
 * @param int         $limit Most members to return, 1 to 1,000,000.
 *
 * @return array<array{info: mixed, since: float, streams: int}> By id, in the order of their bytes (PHP makes an int of a key
 *     such as `42`): the `info`, since when (Unix time), and how many streams they have; 0 during the grace.
 *
 * @throws SseInvalidArgument The topic or the limit breaks a rule.
 * @throws SseUnavailable     No hub runs and none can be started, or it does not answer within `sse.timeout`; or the hub
 *                            belongs to another user, whose members this one may not see.
 */
function sse_presence(string $topic, ?string $after = null, int $limit = 1000): array {}

/**
 * How many users are on a topic, see {@see sse_presence()}.
 *
 * ```php
 * echo sse_presence_count('room.7'), ' here';
 * ```
 *
 * @param string $topic A topic without wildcards.
 *
 * @return int The number of members.
 *
 * @throws SseInvalidArgument The topic breaks a rule.
 * @throws SseUnavailable     As {@see sse_presence()}.
 */
function sse_presence_count(string $topic): int {}

/**
 * How many clients' open streams would get an event of a topic: to ask before it is made, to show "12 are reading", or to know
 * whether an e-mail is needed instead.
 *
 * ```php
 * if (sse_watchers("user.$id") === 0) {
 *     $mailer->send($user, $message);
 * }
 * ```
 *
 * Each stream counts once, however many of its topics and patterns match, also one that is served in its worker or has a
 * callback. Readers in PHP ({@see SseSubscription}) do not count. A client that has just gone away counts until the hub notices
 * ({@see sse_stream()}, `heartbeat`).
 *
 * With `sse.bus` the streams of all machines count: the hub asks the others by Redis and waits for them, at most 800
 * milliseconds. It never returns a number that is too small because one did not answer; it throws then.
 *
 * @param string $topic A topic, without wildcards.
 * @param bool   $local Whether only the streams of this machine count. No other machine is asked then, nor Redis.
 *
 * @return int The number of streams.
 *
 * @throws SseInvalidArgument The topic breaks a rule.
 * @throws SseUnavailable     No hub runs and none can be started, it does not answer within `sse.timeout`, Redis can't be
 *                            reached, or a machine has not answered in time; the message says how many have.
 * @throws SseException       This process belongs to another user than the hub.
 */
function sse_watchers(string $topic, bool $local = false): int {}

/**
 * Which streams are open on this machine, oldest first: for an administrator's page. It tells users and addresses; show it to nobody
 * else.
 *
 * ```php
 * foreach (sse_streams(topic: 'chat') as $id => $stream) {
 *     printf("%s: %s, %d bytes\n", $id, $stream['user'] ?? $stream['address'] ?? '?', $stream['bytes']);
 * }
 * ```
 *
 * A call asks the hub page by page, each of some KiB. A stream that is open from the beginning to the end of the call is listed once;
 * one that begins or ends meanwhile may be there or not. To go on where a call ended, give the last key as `$after`, also if that
 * stream has ended. SseSubscription's streams are listed, too. With `sse.bus` each machine lists its own.
 *
 * @param string|null $topic  Those that get what is published to this topic. At most one of `$topic`, `$user` and `$stream`.
 * @param string|null $user   Those of this user (option `user` of {@see sse_stream()}), 1 to 255 bytes.
 * @param string|null $stream The one with this public id.
 * @param string|null $after  A public id: streams up to this one are left out.
 * @param int         $limit  Most streams, 1 to 1000000.
 *
 * @return array<string, array{
 *     topics: list<string>, topic_count: int, user: string|null, address: string|null, since: int, bytes: int, queue: int,
 *     callback: bool, framing: string|null
 * }>
 *   By the public id of each stream, which {@see sse_disconnect()} takes.
 *   - `topics`: topics and patterns that it watches, the first 100 of its `topic_count`.
 *   - `user`: its user, null if it has none. `address`: the client's, of IPv6 the network that the provider gives to one client
 *     (`2001:db8:1:2::/64`); null if it is not known.
 *   - `since`: when it began, in seconds of Unix time. `bytes`: written to it since then, with framing; the first lines, which
 *     its worker has sent, do not count. `queue`: bytes that wait because the client reads slowly.
 *   - `callback`: whether its events are made by a callback.
 *   - `framing`: `fastcgi` (PHP-FPM), `chunked` (mod_php), `raw` (`php -S`, or copied by the worker that has it), `php` (read by PHP
 *     code: SseSubscription, or a worker that runs the callback); null: its worker has not handed it off yet.
 *
 * @throws SseInvalidArgument An argument breaks a rule, or `$after` was given by another hub.
 * @throws SseUnavailable     No hub runs and none can be started, it does not answer within `sse.timeout`, is too busy to list
 *                            within 800 milliseconds, or too many processes ask for lists at the same time.
 * @throws SseException       This process belongs to another user than the hub.
 */
function sse_streams(
    ?string $topic = null,
    ?string $user = null,
    ?string $stream = null,
    ?string $after = null,
    int $limit = 1000,
): array {}

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
 * @param bool $start Whether to start a hub where none runs; false: throws SseUnavailable then.
 *
 * @return array{
 *     version: string, pid: int, uptime: int, resident_bytes: int, upgrades: int, shards: int, connections: int, descriptor_limit: int,
 *     settings: array<string, string|int|bool|null>,
 *     processes?: array{lost: int, each: list<array{pid: int|null, streams: int, resident_bytes: int}>},
 *     streams: array{open: int, held: int, opened: int, closed: array<string, int>},
 *     refused: array<string, int>, quota_keys: int, topics: int, topic_bytes: int, template_steps: int,
 *     busiest: array{seconds: float, topics: list<array{topic: string, events: int, bytes: int, notifications: int}>, left_out: int},
 *     redirects: array{issued: int, waiting: int, bytes: int, followed: int, expired: int, unknown: int},
 *     presence: array{topics: int, members: int, joins: int, leaves: int},
 *     published: int, published_bytes: int, published_unwatched: int, publish_refused: int, disconnects: int, retopics: int, triggers: int, triggers_refused: int,
 *     superseded: int, spread: int, delivered: int, delivered_bytes: int, heartbeats: int, padding_bytes: int, queued_bytes: int, pinned_bytes: int,
 *     finished: array{topics: int, bytes: int, evicted: int, answered: int},
 *     history: array{
 *         events: int, topics: int, bytes: int, resumed: int, gaps: int, given_up: int,
 *         file?: array{waiting: int, written: int, commits: int, failures: int, problem: string|null}
 *     },
 *     bus?: array{
 *         address: string, node: string|null, stream: string, state: string, since: int, problem: string|null, outages: int,
 *         read: int, refused: int, published: int, failed: int, waiting: int, waiting_bytes: int, gaps: int, wakes_sent: int,
 *         wakes_received: int, last_id: string,
 *         presence: array{state: string, problem: string|null, hubs: int, members: int, bytes: int, left_out: int}
 *     },
 *     renders: array{
 *         streams: int, queued: int, running: int, late: int, done: int, coalesced: int, unchanged: int, failed: int,
 *         timed_out: int, denied: int, refused: int, bytes: int, p50_ms: float|null, p99_ms: float|null,
 *         seconds: array{sum: float, buckets: array<string, int>},
 *         slowest: array{
 *             seconds: float, left_out: int,
 *             scripts: list<array{script: string, done: int, failed: int, total_ms: float, longest_ms: float}>
 *         }
 *     },
 *     keys: array{kept: int, bytes: int, repeated: int, dropped: int},
 *     retained: array{topics: int, events: int, bytes: int, dropped: int},
 *     turns: array{steps: int, most_steps: int, longest_us: int, seconds: array{sum: float, buckets: array<string, int>}},
 *     udp: array{
 *         listening: string|null, received: int, wakes: int, garbage: int, unauthenticated: int, replayed: int,
 *         dropped: int, delayed: int
 *     },
 *     notify: array{listening: string|null, received: int, wakes: int, garbage: int, refused: int},
 *     ...
 * } By name. More may be added; those that are there stay what they are.
 *   - `version`, `pid`: the hub's. `uptime`: seconds since it started. `upgrades`: times that another hub has taken over
 *     since then. `resident_bytes`: memory of its process, or of all its
 *     processes. `shards`: its threads that hold streams. `connections`: PHP processes that are connected now.
 *     `descriptor_limit`: descriptors that one process of it may have, one for each stream and each PHP process.
 *   - `settings`: what the hub uses of its settings, by their names without `sse.`; of `udp_key` only whether there is one (`…`), and
 *     `bus` without a password. A process that has other ones in its php.ini does not change them: see {@see sse_hub_upgrade()}.
 *   - `processes`, with several that hold streams only (`sse.processes`): of `each` its `pid` (null while it is started anew),
 *     its `streams` and `resident_bytes`; how many were `lost`: killed, or failed, with their streams, and replaced.
 *   - `streams`: `open` now (subscriptions too); `held` now: offered by a worker that is still sending the headers;
 *     `opened`: that began; `closed`: ended, by why: `client` (it left), `slow` (it did not read: `sse.stream_buffer`,
 *     `sse.stall_timeout`, `sse.queue_bytes`),
 *     `error` (its connection failed otherwise), `shutdown` (the hub ended), `aborted` (its worker took it back before it
 *     began), `denied` (its script no longer allowed it), `unconfirmed` (its script did not say so in time, `reauthorize`),
 *     `moved` (its script gave it another `share`),
 *     `lifetime` (its time was over, `max_lifetime`), `replaced` (its user has begun another one, `over_limit`), `finished`
 *     (for good: all its topics were finished, its callback has returned an SseEnd, or a replay has answered 204),
 *     `disconnected` (by {@see sse_disconnect()}).
 *   - `refused`: streams, because of `full` (`sse.max_streams`), `per_ip` (`sse.max_streams_per_ip`), `per_user`
 *     (`max_per_user`), `topic_bytes` (`sse.topic_bytes`), `template_steps` (`sse.template_steps`), `redirect_bytes`
 *     (`sse.redirect_bytes`) or `descriptors` (the limit of open files); PHP processes
 *     (`connections`: of users that may not use this hub; `protocol`: of another version).
 *   - `redirects`: streams with `sse.detach=redirect`: names that the web server was sent (`issued`), those that it may still
 *     fetch (`waiting`) and what is charged for them (`bytes`, `sse.redirect_bytes`), those that it has fetched (`followed`) or not
 *     in time (`expired`), and requests for what the hub does not have, or not any more (`unknown`).
 *   - `quota_keys`: client addresses and users that have streams that are counted now.
 *   - `topics`: topics and patterns that are watched now. One that streams of several processes watch counts in each.
 *     `topic_bytes`: what is charged for them, for each stream that watches them (`sse.topic_bytes`).
 *   - `busiest`: which topics events and notifications came for lately, the busiest 20: how many `seconds` were counted, mostly 5
 *     to 10; of each of the `topics` its name, `events`, their `bytes`, and `notifications` (`**`: of all topics); `left_out`: how
 *     many came for topics beyond the first 1,024 of that time.
 *   - `template_steps`: most steps that comparing 64 bytes of a topic with the URI templates of Mercure's clients takes now
 *     (`sse.template_steps`).
 *   - `presence`: `topics` that have members now, `members` of all of them (with `sse.bus` on all machines); `joins`, `leaves`:
 *     times that a user came to a topic, and left it.
 *   - `published`, `published_bytes`: events that were accepted (with `sse.bus` those of all machines), and their data.
 *     `published_unwatched`: of these, events of topics that certainly nobody watched here, which is a sign of a mistyped topic or
 *     of another hub than the web server's. A few more may have been: a watched `*.x` makes every topic one that may be watched,
 *     and with several `sse.processes` any open stream does. `publish_refused`: those that were not accepted.
 *   - `keys`: of publications (`$key` of sse_publish()): `kept` now, and their `bytes` (`sse.key_bytes`; with `sse.bus` Redis
 *     has them); `repeated`: publications that published nothing, as one before had their key; `dropped`: keys before their time.
 *   - `retained`: `topics` that have a last value (`$retain` of sse_publish()), the `events` that these are, their `bytes`
 *     (`sse.retain_bytes`), and how many events were `dropped` because of that limit.
 *   - `disconnects`: calls of {@see sse_disconnect()}, with `sse.bus` those of all machines. `retopics`: calls of
 *     {@see sse_retopic()} that were done.
 *   - `triggers`: wakes by PHP, counted by topics. `triggers_refused`: of those that were no topic.
 *   - `superseded`: events that were not sent to a stream, as a newer one (`$latest` of sse_publish()) replaced them where they
 *     waited, counted for each stream. `spread`: events that waited for a random moment (`$spread`), counted likewise.
 *   - `delivered`: events written to streams, counted for each stream. `delivered_bytes`: everything written to streams.
 *     `heartbeats`: comments to silent streams. `padding_bytes`: comments that filled up what was written, for a web server that
 *     passes output on only once it has enough of it (`sse.pad`). `queued_bytes`: what waits now for clients that read slowly, counted for each;
 *     `pinned_bytes`: the memory that is kept for them only (`sse.queue_bytes`).
 *   - `finished`: `topics` that are remembered as finished now (`sse_finish()`), and the `bytes` of their last events; `evicted`:
 *     those forgotten before their time, for want of `sse.finished_bytes`; `answered`: clients that were told by 204 that they
 *     have everything.
 *   - `history`: `events`, `topics` and `bytes` that are kept in memory now; `resumed`: readers that came back with an id,
 *     `gaps`: of those, that were told of one; `given_up`: those whose workers had gone before it was found what they had missed. With `sse.history=sqlite:…` `file`: events `waiting` now to be written,
 *     `written`, in how many `commits`, `failures`; `problem`: why the file can't be written now, null if it can.
 *   - `bus`, with `sse.bus` only: `address` (without the password) and `stream`; `node`: the server that has it now, with Sentinel the
 *     master, in a cluster the node of its slot, null if none was reached yet; `state`: `connecting`, `connected` or `away`,
 *     `since` when (Unix time), and the `problem`, null if there is none; `outages`; entries `read` from Redis, of them
 *     `refused` (no events); events of this hub that Redis has taken (`published`) and that it has not, or of which that is not
 *     known (`failed`); `waiting` and `waiting_bytes`: events that wait to be sent; `gaps`: times that events were lost, or may
 *     have been; `wakes_sent`, `wakes_received`: messages, of several topics each; `last_id`: the last entry that was read.
 *     `presence`: the `state` (as above) and `problem` of telling other machines who is here and hearing who is there; the other
 *     `hubs` that tell it, the `members` that they have told of, counted for each topic and hub, with their `bytes`
 *     (`sse.presence_bytes`), and those `left_out`, as there is no room for them.
 *   - `renders`: `streams` now whose scripts can be run again, renders that are `queued` and `running` now, of
 *     these, that did not get to sse_stream() within a second, so that others don't wait for them (`late`); `done`;
 *     `coalesced`: wakes that another render answered as well; `unchanged`: the same output as before; `failed`, of which
 *     `timed_out`; `denied`: streams that their scripts ended; `refused`: streams that were refused as `sse.render_bytes`,
 *     or their address's eighth of it, was used up; `bytes` kept for them now, requests and events. How long those that were done took: `p50_ms`, `p99_ms`
 *     (null before the first), `seconds`: `sum`, and `buckets`, how many took no longer than each bound and longer than
 *     the one before. `slowest`: which scripts took the most time of all together in the last minute or two, up to 20: how
 *     many `seconds` were counted; of each of the `scripts` its path, renders that were `done` and that `failed`, the `total_ms` and
 *     `longest_ms` that they took; `left_out`: renders of scripts beyond the first 256 of that time.
 *   - `turns`: of the hub's main thread, which puts everything in order, so that a long turn holds everybody up. `seconds`: the
 *     processor's time that they took, `sum` and `buckets` as above; `longest_us`: the longest so far, in microseconds; `steps`:
 *     kept events, topics, callbacks and changes of members that it has looked at one by one, `most_steps`: the most of them
 *     in one turn.
 *   - `udp`: the address it is `listening` at, null if at none; datagrams `received`, of them `wakes`, `garbage`,
 *     `unauthenticated`, `replayed` (had come before), and those that the system has `dropped`; `delayed`: wakes that were
 *     told later, or with others, as they came too often without a key (`sse.udp_rate`).
 *   - `notify`: the socket of the hub's own user that it is `listening` at for the same datagrams, null if at none; those
 *     `received`, of them `wakes`, `garbage`, and those of other users (`refused`).
 *
 * @throws SseUnavailable No hub runs and none can be started, or none is to be; or it does not answer within `sse.timeout`.
 * @throws SseException   This process belongs to another user than the hub.
 */
function sse_stats(bool $start = true): array {}

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
     * Sends one small message to the hub. Never waits, never starts a hub: where none runs, nobody listens. Only an argument
     * that PHP does not convert to a string throws, a TypeError. With `sse.publish=commit` the message is sent at the end of the
     * request, if that has succeeded; true then means that it is held back, and PHP's error log tells of a hub that can't take it.
     *
     * @param string ...$topics Topics, no wildcards.
     *
     * @return bool True if it was handed to the hub; wakes that arrive together may be told once. False if it could not be
     *              taken: no topic, not a topic, no hub, or a hub that is behind.
     */
    public static function push(string ...$topics): bool {}

    /**
     * As {@see push()} with `sse.publish=commit`, whatever that setting is: the message is sent at the end of the request, after
     * its events and only if it has succeeded, so never before the row that it is about can be read. A topic is told once. For
     * code that notifies inside of a transaction that the request commits later. On the command line the request is the whole
     * script: a queue worker calls push() after each commit instead.
     *
     * ```php
     * $db->beginTransaction();
     * $db->exec("INSERT INTO orders …");
     * SseTrigger::defer('orders');
     * $db->commit();
     * ```
     *
     * @param string ...$topics Topics, no wildcards.
     *
     * @return bool True if it is held back, or, after the end of the request, was handed to the hub. False for no topic, for
     *              what is not a topic, and where more than `sse.commit_bytes` would be held back.
     */
    public static function defer(string ...$topics): bool {}
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
     * @param string|int|null $id What the client sends back as Last-Event-ID, 1 to 255 bytes without line break or NUL;
     *                           null: none, the client keeps the one before.
     *
     * @throws SseInvalidArgument The type or the id breaks a rule.
     */
    public function __construct(mixed $data = null, ?string $event = null, string|int|null $id = null) {}

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

    /** The `$traceparent` that it was published with ({@see sse_publish()}); null: none, or it came from the history's file. */
    public readonly ?string $traceparent;
}

/**
 * Ends a stream for good, when a callback of {@see sse_stream()} returns it, by itself or as the last item of an array or a
 * generator.
 *
 * ```php
 * sse_stream("job.$id", function () use ($jobs, $id) {
 *     $job = $jobs->find($id);
 *     return $job->done ? new SseEnd(['report' => $job->url], 'finished') : ['percent' => $job->percent];
 * });
 * ```
 *
 * The client gets the last event, if there is one, and its stream ends (all streams, where they have the same `share`). It comes
 * back once more: the script runs, and its callback returns an `SseEnd` again in its first run. If the client has that end, or
 * there is nothing to send, `sse_stream()` answers 204, after which an EventSource does not come back; otherwise the client gets
 * the last event. What a client has is told by the event's id: the constructor's, or one that is made of type and data
 * (`end-…`), so return the same end each time, or give it an id. With the option `initial` off the callback does not run then:
 * answer 204 before sse_stream() instead.
 */
final class SseEnd
{
    /**
     * The end, with or without a last event.
     *
     * @param mixed       $data  The last event's data: a string as it is, anything else as JSON; null: there is no last event.
     * @param string|null $event The last event's type, 1 to 255 bytes without line break or NUL; null: none.
     * @param string|int|null $id What the client sends back as Last-Event-ID, 1 to 255 bytes without line break or NUL; null:
     *                           one that is made of type and data.
     *
     * @throws SseInvalidArgument The type or the id breaks a rule.
     */
    public function __construct(mixed $data = null, ?string $event = null, string|int|null $id = null) {}

    /** What was given to the constructor. */
    public readonly mixed $data;

    /** The last event's type, if it has one. */
    public readonly ?string $event;

    /** The last event's id, if one was given. */
    public readonly ?string $id;
}

/**
 * What {@see sse_publish()} returns with `$report`.
 *
 * ```php
 * $receipt = sse_publish("user.$id", $message, report: true);
 * if ($receipt->watchers === 0) {
 *     $mailer->send($message);        // nobody is there
 * }
 * ```
 */
final class SseReceipt
{
    /**
     * For what stands in for sse_publish() in tests.
     *
     * @param string   $id        The event's id.
     * @param int|null $watchers  Streams that it went to, 0 or more; null: not known.
     * @param bool     $duplicate Whether it was published before.
     *
     * @throws SseInvalidArgument `$watchers` is negative.
     */
    public function __construct(string $id, ?int $watchers = null, bool $duplicate = false) {}

    /** The event's id: your own, or the hub's. */
    public readonly string $id;

    /**
     * How many clients' streams of this machine the event went to when it was published: those that watch one of its topics, each
     * once, without that of `$except`, and those whose callback it makes run. Streams that the event was written to or queued for
     * count, also where the client has just left and nobody knows it yet: what a client has read, only the client can say. Those of
     * PHP processes ({@see SseSubscription}) and of other machines (`sse.bus`) do not count. Null: the event is published, but a
     * thread that writes to streams was too busy to count them within 0.8 seconds, or the hub has just begun or ended.
     */
    public readonly ?int $watchers;

    /** Whether an event with the same `$key` was published before: then `$id` is that one's, and this one went to nobody. */
    public readonly bool $duplicate;
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
     * Waits for the next event. If the hub has ended the subscription because this process read too slowly
     * (`sse.stream_buffer`), it goes on after the last event that was read; a notification of `**` comes first if some of
     * what was missed is not kept any more.
     *
     * @throws SseUnavailable The hub ended the subscription: it stopped, or no event was read before.
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
