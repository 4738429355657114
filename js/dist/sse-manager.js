/*! SSEManager, the browser client of php-sse. MIT licence. Contains eventsource-parser, MIT, Espen Hovlandsdal. */

// src/config.ts
var KEYS = {
  url: true,
  publishUrl: true,
  topicsUrl: true,
  session: true,
  lastEventId: true,
  headers: true,
  method: true,
  withCredentials: true,
  transport: true,
  eventTypes: true,
  decode: true,
  retained: true,
  workerUrl: true,
  share: true,
  resume: true,
  retry: true,
  maxRetry: true,
  heartbeatTimeout: true,
  openTimeout: true,
  fallback: true,
  firstBytesTimeout: true,
  shortLifetime: true,
  pollLifetime: true,
  fallbackTime: true,
  environment: true,
  debug: true
};
var FLAGS = ["withCredentials", "retained", "share", "resume"];
var NUMBERS = [
  "retry",
  "maxRetry",
  "heartbeatTimeout",
  "openTimeout",
  "firstBytesTimeout",
  "shortLifetime",
  "pollLifetime",
  "fallbackTime"
];
function check(config) {
  const wrong = (what) => {
    throw new TypeError(`SSEManager: ${what}`);
  };
  if (typeof config !== "object" || config === null) wrong(`the configuration must be an object, such as { url: '/stream.php' }`);
  for (const key of Object.keys(config)) {
    if (!Object.hasOwn(KEYS, key)) wrong(`config.${key} is unknown; there are ${Object.keys(KEYS).join(", ")}`);
  }
  const { url, publishUrl, topicsUrl, lastEventId, transport, headers, method, session, eventTypes, decode, debug, fallback, workerUrl } = config;
  if (typeof url !== "function" && (typeof url !== "string" || url === "")) {
    wrong(`config.url must be the address of a stream or a function, ${typeof url} given`);
  }
  if (transport !== void 0 && transport !== "fetch" && transport !== "eventsource") {
    wrong(`config.transport must be 'fetch' or 'eventsource', '${String(transport)}' given`);
  }
  if (transport === "eventsource" && headers !== void 0) {
    wrong("config.headers can't be sent by transport 'eventsource'; leave the transport out");
  }
  if (method !== void 0 && method !== "GET" && method !== "POST") {
    wrong(`config.method must be 'GET' or 'POST', '${String(method)}' given`);
  }
  if (transport === "eventsource" && method === "POST") {
    wrong("config.method 'POST' is not for transport 'eventsource'; leave the transport out");
  }
  if (debug !== void 0 && typeof debug !== "boolean" && typeof debug !== "function") {
    wrong(`config.debug must be true, false or a function, ${typeof debug} given`);
  }
  if (session !== void 0 && typeof session !== "string") {
    wrong(`config.session must be a string, such as the user's id, ${typeof session} given`);
  }
  if (publishUrl !== void 0 && typeof publishUrl !== "string") {
    wrong(`config.publishUrl must be the address of a script, ${typeof publishUrl} given`);
  }
  if (topicsUrl !== void 0 && (typeof topicsUrl !== "string" || topicsUrl === "")) {
    wrong(`config.topicsUrl must be the address of a script, ${typeof topicsUrl} given`);
  }
  if (workerUrl !== void 0 && (typeof workerUrl !== "string" || workerUrl === "")) {
    wrong(`config.workerUrl must be the address of sse-worker.js, ${typeof workerUrl} given`);
  }
  if (lastEventId !== void 0 && lastEventId !== null && typeof lastEventId !== "string") {
    wrong(`config.lastEventId must be a string, ${typeof lastEventId} given`);
  }
  if (headers !== void 0 && typeof headers !== "function" && (typeof headers !== "object" || headers === null)) {
    wrong(`config.headers must be an object or a function, ${headers === null ? "null" : typeof headers} given`);
  }
  if (eventTypes !== void 0 && !Array.isArray(eventTypes)) {
    wrong(`config.eventTypes must be an array of types, ${typeof eventTypes} given`);
  }
  if (decode !== void 0 && decode !== "json" && decode !== "text" && typeof decode !== "function") {
    wrong(`config.decode must be 'json', 'text' or a function, '${String(decode)}' given`);
  }
  if (fallback !== void 0 && !(Array.isArray(fallback) && fallback.every((way) => way === "short" || way === "poll"))) {
    wrong("config.fallback must be an array of 'short' and 'poll', or empty");
  }
  for (const name of FLAGS) {
    const value = config[name];
    if (value !== void 0 && typeof value !== "boolean") {
      wrong(`config.${name} must be true or false, ${typeof value} given`);
    }
  }
  for (const name of NUMBERS) {
    const value = config[name];
    if (value !== void 0 && !(value >= 0 && value <= 864e5)) {
      wrong(`config.${name} must be milliseconds from 0 to 86400000, ${String(value)} given`);
    }
  }
}

// src/backoff.ts
function delay(retry, failures, longest, random, failure) {
  const doubled = Math.min(retry * 2 ** Math.min(failures, 30), Math.max(longest, retry));
  const spread = doubled * 0.5 * random();
  return Math.max(doubled, failure.retryAfter ?? 0) + spread;
}

// src/failure.ts
var PASSING = /* @__PURE__ */ new Set([408, 425, 429]);
function ofStatus(status, retryAfter, now) {
  const final = status === 204 || status === 205 || status >= 400 && status < 500 && !PASSING.has(status);
  const message2 = `the server answered ${status}`;
  const delay2 = retryAfter === null ? null : parseRetryAfter(retryAfter, now);
  return { reason: "status", message: message2, status, final, ...delay2 !== null && { retryAfter: delay2 } };
}
function isEnd({ status }) {
  return status === 204 || status === 205;
}
function parseRetryAfter(value, now) {
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1e3;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

// src/frame.ts
function streamId(frame) {
  if (frame.kind !== "event" || frame.type !== "stream" || frame.id !== null || frame.topics.length > 0) return null;
  try {
    const { stream } = JSON.parse(frame.data);
    return typeof stream === "string" ? stream : null;
  } catch {
    return null;
  }
}

// src/link.ts
function patience({ asked, answered, opened }, { openTimeout, firstBytesTimeout, silence }) {
  const whole = asked.lifetime + firstBytesTimeout;
  if (opened !== null) return silence === 0 || asked.way === "stream" ? silence : Math.max(silence, whole);
  if (asked.way !== "stream") return whole;
  return answered || asked.trial ? firstBytesTimeout : openTimeout;
}
function wasHeld({ asked, begun, opened }, now) {
  if (opened === null) return false;
  if (asked.way === "poll") return true;
  return now - begun >= asked.lifetime / 2 && opened - begun >= (now - begun) / 2;
}

// src/position.ts
var HUB_ID = /^(\d{13})-(\d{1,15})$/;
function parse(id) {
  const found = HUB_ID.exec(id);
  return found === null ? null : [Number(found[1]), Number(found[2])];
}
function compare(a, b) {
  if (a === b) return 0;
  const left = parse(a);
  const right = parse(b);
  if (left === null || right === null) return null;
  return left[0] - right[0] || left[1] - right[1];
}
function isOrdered(id) {
  return HUB_ID.test(id);
}
function older(a, b) {
  if (a === null || b === null) return a ?? b;
  const order = compare(a, b);
  return order !== null && order > 0 ? b : a;
}

// src/timer.ts
var Timer = class {
  #environment;
  #timer = null;
  constructor(environment) {
    this.#environment = environment;
  }
  get runs() {
    return this.#timer !== null;
  }
  /** In place of what it was started for before. */
  start(milliseconds, run) {
    this.stop();
    this.#timer = this.#environment.setTimeout(() => {
      this.#timer = null;
      run();
    }, milliseconds);
  }
  stop() {
    if (this.#timer !== null) this.#environment.clearTimeout(this.#timer);
    this.#timer = null;
  }
};

// src/topic.ts
function matches(pattern, topic) {
  if (topic.startsWith("$") && pattern.startsWith("*")) return false;
  const found = topic.split(".");
  const wanted = pattern.split(".");
  for (const [at, segment] of wanted.entries()) {
    if (at >= found.length) return false;
    if (segment === "**") return true;
    if (segment !== "*" && segment !== found[at]) return false;
  }
  return wanted.length === found.length;
}
function covers(wide, narrow) {
  if (narrow.startsWith("$") && wide.startsWith("*")) return false;
  const inner = narrow.split(".");
  const outer = wide.split(".");
  for (const [at, segment] of outer.entries()) {
    if (at >= inner.length) return false;
    if (segment === "**") return true;
    if (inner[at] === "**") return false;
    if (segment !== "*" && segment !== inner[at]) return false;
  }
  return outer.length === inner.length;
}
function allCovered(patterns, by) {
  for (const pattern of patterns) {
    if (!by.some((wide) => covers(wide, pattern))) return false;
  }
  return true;
}
function hasAll(wanted, by) {
  return wanted.every(
    (topic) => by.includes(topic) || allCovered([topic], by) && !wanted.some((other) => other !== topic && covers(other, topic))
  );
}
function checkTopic(topic) {
  checkPattern(topic);
  if (topic.includes("*") || topic.startsWith("$")) {
    throw new TypeError(`presence(): nobody is on '${topic}': it must be a topic, without wildcards, that does not begin with '$'`);
  }
}
function checkPattern(pattern) {
  const wrong = (why) => {
    throw new TypeError(`subscribe(): '${pattern}' is no topic or pattern: ${why}`);
  };
  if (typeof pattern !== "string" || pattern === "") wrong("it must be a string that is not empty");
  if (/[\s,\p{Cc}]/u.test(pattern)) wrong("white space, commas and control characters are not allowed");
  const segments = pattern.split(".");
  for (const [at, segment] of segments.entries()) {
    if (segment === "") wrong("segments are joined by single dots, as in 'chat.general'");
    if (segment === "**" && at < segments.length - 1) wrong("'**' may only be the last segment, as in 'orders.**'");
    if (segment.includes("*") && segment !== "*" && segment !== "**") wrong("'*' must be a whole segment, as in 'orders.*'");
  }
}

// src/connection.ts
var FINISHED = { reason: "status", message: "all topics are finished", status: 204, final: true };
var PLACE = 1e3;
var HURRIED = 1e3;
var HEARTBEAT_TIMEOUT = 45e3;
var LEFT = 1e3;
var Connection = class {
  #config;
  #listener;
  #wanted = [];
  #current = null;
  #next = null;
  /** The topics of the last stream that was opened. */
  #accepted = [];
  #lastId = null;
  /** Topics whose last event has come, while they were wanted by their names. */
  #finished = /* @__PURE__ */ new Set();
  /** A place before `#lastId` that somebody needs all events from, until they have come. */
  #needed = null;
  #retry;
  #failures = 0;
  #links = 0;
  /** Ends the request by which the open stream is given other topics, if there is one. */
  #steering = null;
  #canSteer = true;
  /** Whether what a stream brings first is needed. */
  #anew = false;
  #timer;
  /** When the next attempt is due, and the time before which the server doesn't want it. */
  #due = 0;
  #notBefore = 0;
  #watchdog;
  #narrow;
  /** Whether the last attempt was the fresh one after a 401. */
  #renewed = false;
  #over = false;
  constructor(config, listener) {
    this.#config = config;
    this.#listener = listener;
    this.#retry = config.retry;
    this.#timer = new Timer(config.environment);
    this.#watchdog = new Timer(config.environment);
    this.#narrow = new Timer(config.environment);
  }
  /** The id to go on from: the last that came, or the newest of all when nothing had been missed. */
  get lastId() {
    return this.#lastId;
  }
  /** The topics of the stream that is open; none while none is. */
  get topics() {
    return this.#current?.topics ?? [];
  }
  /** The stream that is open. */
  get link() {
    return this.#current;
  }
  /**
   * Reads these topics from now on; those that were read before are not interrupted. `from`: a place from which all events
   * are needed, however far the connection is. `anew`: what a stream brings first is needed.
   */
  watch(topics, from = null, anew = false) {
    this.#over = false;
    this.#wanted = topics;
    if (topics.length === 0) {
      this.close();
      this.#accepted = [];
      this.#lastId = this.#needed = null;
      return;
    }
    const behind = from !== null && this.#isBehind(from);
    if (behind) this.#needed = older(this.#needed, from);
    const reading = this.#next ?? this.#current;
    if (reading !== null && hasAll(topics, reading.topics)) {
      if (reading.opened === null ? this.#reaches(reading) : !behind && !anew) {
        this.#narrowLater();
        return;
      }
    }
    if (reading === null && this.#timer.runs) return;
    this.#anew ||= anew;
    if (!this.#steer()) this.#connect();
  }
  /** Gives the open stream the topics that are wanted, one change after the other; false if it can't. */
  #steer() {
    const { steer, openTimeout, environment } = this.#config;
    const link = this.#current;
    if (steer === null || !this.#canSteer || link === null || this.#next !== null || this.#timer.runs) return false;
    if (link.asked.way !== "stream") return false;
    if (this.#anew || this.#needed !== null) return false;
    if (this.#steering !== null) return true;
    if (link.stream === null || !link.ordered || !link.steerable) return false;
    const before = link.topics;
    const wanted = this.#wanted;
    const add = wanted.filter((topic) => !before.includes(topic));
    const remove = before.filter((topic) => !wanted.includes(topic));
    link.topics = before.filter((topic) => wanted.includes(topic));
    const abort = this.#steering = new AbortController();
    const late = environment.setTimeout(() => abort.abort(), openTimeout);
    this.#narrow.stop();
    this.#listener.changing(link.name, add);
    void steer({ stream: link.stream, add, remove }, abort.signal).then((answer) => {
      environment.clearTimeout(late);
      if (this.#steering !== abort) return;
      this.#steering = null;
      this.#steered(link, before, wanted, answer);
    });
    return true;
  }
  #steered(link, before, wanted, answer) {
    if (answer.what !== "done") {
      if (answer.what === "never") this.#canSteer = false;
      link.steerable = answer.what === "refused";
      if (answer.what !== "unknown") link.topics = before;
      this.#connect();
      return;
    }
    link.topics = this.#accepted = wanted;
    this.#listener.changed(link.name, wanted, answer.cursor);
    if (this.#over) return;
    if (hasAll(this.#wanted, wanted)) this.#narrowLater();
    else if (!this.#steer()) this.#connect();
  }
  #endSteering() {
    this.#steering?.abort();
    this.#steering = null;
  }
  /** Has topics that nobody wants any more left out, soon: a page that shows another part of itself leaves some and adds some. */
  #narrowLater() {
    const isWider = () => {
      const reading = this.#next ?? this.#current;
      return reading !== null && reading.topics.some((topic) => !this.#wanted.includes(topic));
    };
    if (!isWider()) this.#narrow.stop();
    else if (!this.#narrow.runs) {
      this.#narrow.start(LEFT, () => {
        const isIdle = !this.#over && this.#next === null && this.#current !== null && !this.#timer.runs;
        if (isIdle && isWider() && !this.#steer()) this.#connect();
      });
    }
  }
  /** Whether events that come after this place may have passed by already. */
  #isBehind(place) {
    if (this.#lastId === null) return true;
    const order = compare(place, this.#lastId);
    return order === null || order < 0;
  }
  /** Whether a stream began early enough for what is needed. */
  #reaches(link) {
    if (this.#needed === null) return true;
    const order = link.from === null ? null : compare(link.from, this.#needed);
    return order !== null && order <= 0;
  }
  /** Ends it; `watch()` begins it anew, from where it was. */
  close() {
    this.#over = true;
    this.#endSteering();
    this.#timer.stop();
    this.#next?.stop();
    this.#current?.stop();
    this.#next = this.#current = null;
    this.#failures = 0;
    this.#renewed = false;
    this.#watchdog.stop();
    this.#narrow.stop();
  }
  /**
   * Time may have passed unnoticed (sleep, a throttled tab), or the network may have come back: looks whether the stream
   * still lives, and doesn't wait any longer for the next attempt. With `renew`, an open stream is replaced.
   */
  poke(renew = false) {
    if (this.#over) return;
    if (renew) this.#config.ways.improve();
    this.#look();
    const { now } = this.#config.environment;
    if (this.#current === null && this.#timer.runs && now() >= this.#notBefore) this.#connect();
    else if (this.#current !== null && this.#next === null && renew) this.#connect();
  }
  #from() {
    return this.#needed ?? this.#lastId;
  }
  #connect() {
    this.#timer.stop();
    this.#narrow.stop();
    this.#endSteering();
    const current = this.#current;
    if (current !== null && !current.placed && this.#lastId === null) {
      this.#due = this.#config.environment.now() + PLACE;
      this.#timer.start(PLACE, () => {
        current.placed = true;
        this.#connect();
      });
      return;
    }
    this.#next?.stop();
    const { environment, ways } = this.#config;
    const from = this.#from();
    const asked = this.#hurried(ways.next());
    const retained = this.#anew || asked.way === "stream" || this.#lastId === null;
    this.#anew = false;
    const link = {
      name: `${this.#config.name}.${++this.#links}`,
      asked,
      topics: [...this.#wanted],
      stream: null,
      steerable: true,
      from,
      stop: () => {
      },
      begun: environment.now(),
      alive: environment.now(),
      answered: false,
      opened: null,
      refused: null,
      placed: false,
      ordered: false,
      heartbeat: null
    };
    this.#next = link;
    this.#guard();
    const begin = (headers) => {
      if (this.#next !== link) return;
      const { request, withCredentials } = this.#config;
      const wanted = { ...request({ topics: link.topics, lastEventId: from, asked, retained }), headers, withCredentials };
      link.stop = this.#config.transport(wanted, {
        open: (refused) => {
          link.refused = refused;
          link.alive = environment.now();
          link.answered = true;
          if (!ways.watches) this.#opened(link);
        },
        alive: () => {
          link.alive = environment.now();
          if (link.opened === null) this.#opened(link);
        },
        frame: (frame) => this.#received(link, frame),
        heartbeat: (milliseconds) => {
          link.heartbeat = milliseconds;
          this.#guard(true);
        },
        retry: (milliseconds) => {
          this.#retry = milliseconds;
        },
        fail: (failure) => this.#failed(link, failure)
      });
    };
    try {
      const headers = this.#config.headers(from, this.#renewed);
      if (!("then" in headers)) return begin(headers);
      headers.then(begin).catch((error) => this.#failed(link, broken(error)));
    } catch (error) {
      this.#failed(link, broken(error));
    }
  }
  /** A long-poll with topics that no response has had yet is not to wait: its end shows that the server has them. */
  #hurried(asked) {
    const isNew = asked.way === "poll" && !allCovered(this.#wanted, this.#accepted);
    return isNew ? { ...asked, lifetime: Math.min(asked.lifetime, HURRIED) } : asked;
  }
  #opened(link) {
    if (link !== this.#next) return;
    link.opened = this.#config.environment.now();
    this.#current?.stop();
    this.#current = link;
    this.#next = null;
    this.#accepted = link.topics;
    this.#renewed = false;
    this.#lastId = link.from;
    this.#listener.opened(link.name, link.topics, link.from, link.refused);
    if (link.asked.way === "stream") this.#comes("stream");
    if (this.#over) return;
    if (!hasAll(this.#wanted, link.topics)) this.#connect();
    else this.#narrowLater();
  }
  #received(link, frame) {
    if (link !== this.#current) return;
    const name = streamId(frame);
    if (name !== null) {
      link.stream = name;
      if (link.asked.way === "stream") this.#listener.named(name);
      return;
    }
    if (frame.kind === "cursor") {
      link.ordered = true;
      if (link.from === null) this.#lastId = frame.id;
    } else if (frame.kind === "reached") {
      this.#lastId = frame.id;
      if (this.#needed === link.from) this.#needed = null;
    } else if (frame.id !== null) {
      this.#lastId = frame.id === "" ? null : frame.id;
      if (!link.ordered && this.#needed === link.from) this.#needed = null;
    }
    if (frame.kind === "event") this.#learnFinished(frame);
    const first = !link.placed;
    link.placed = true;
    this.#listener.received({ frame, link: link.name, ordered: link.ordered });
    if (first && this.#timer.runs && link === this.#current) {
      this.#timer.stop();
      if (!this.#steer()) this.#connect();
    }
  }
  #learnFinished({ topics, finished }) {
    for (const topic of topics) {
      if (!finished) this.#finished.delete(topic);
      else if (this.#wanted.includes(topic)) this.#finished.add(topic);
    }
  }
  #failed(link, failed) {
    if (link !== this.#current && link !== this.#next) return;
    link.stop();
    const isCurrent = link === this.#current && this.#next === null;
    const over = isCurrent && this.#wanted.every((topic) => this.#finished.has(topic));
    const { now, random } = this.#config.environment;
    if (isCurrent && !over && failed.reason === "ended" && this.#ended(link)) return;
    const failure = over ? FINISHED : this.#judged(link, failed);
    if (link.opened !== null && now() - link.opened >= this.#retry) this.#failures = 0;
    if (link === this.#current) {
      this.#endSteering();
      this.#current = null;
    } else {
      this.#next = null;
    }
    if (failure.status === 401 && this.#config.renewable && !this.#renewed) {
      this.#renewed = true;
      this.#connect();
      return;
    }
    if (failure.final) {
      this.#final(link, failure);
      return;
    }
    if (this.#next !== null) return;
    const wait = failure.reason === "silent" ? this.#retry * 0.5 * random() : delay(this.#retry, this.#failures, this.#config.longestDelay, random, failure);
    this.#failures++;
    this.#notBefore = now() + (failure.retryAfter ?? 0);
    this.#wait(wait);
    if (this.#current === null) {
      this.#listener.reconnecting(failure, wait);
      return;
    }
    const fresh = this.#fresh(link);
    if (fresh.length > 0) this.#listener.failing(fresh, failure, wait);
  }
  /** A response that was to end soon has ended: the next one follows. False if that is a failure. */
  #ended(link) {
    const { ways, environment } = this.#config;
    const { way, lifetime } = link.asked;
    const lasted = environment.now() - link.begun;
    const held = wasHeld(link, environment.now());
    if (way === "stream" || !held && lasted < lifetime / 2) return false;
    if (held) this.#comes(way);
    else ways.improve();
    if (!held && lasted > 2 * lifetime) return false;
    this.#current = null;
    this.#failures = 0;
    const isFirst = link.from === null && this.#lastId !== null;
    this.#wait(isFirst ? 0 : Math.max(0, this.#retry - lasted));
    return true;
  }
  #comes(way) {
    this.#config.ways.works(way);
    this.#listener.comes(way);
  }
  /** Learns what a failure says of the way that was taken, and whether it is final for all of them. */
  #judged(link, failure) {
    const { ways } = this.#config;
    const { way } = link.asked;
    if (link.opened !== null || this.#current?.asked.way === "stream") return failure;
    const unknown = way === "poll" && failure.final && !isEnd(failure) && failure.status !== 401;
    const nothing = failure.reason === "held" || failure.reason === "late" || failure.reason === "ended" && link.answered;
    if (unknown || nothing) ways.failed(way);
    return unknown ? { ...failure, final: false } : failure;
  }
  /** What is new in the request, and no stream has had yet. */
  #fresh(link) {
    return link.topics.filter((topic) => !allCovered([topic], this.#accepted));
  }
  /** The server doesn't want to be asked again: for what is new in the request, or at all. */
  #final(link, failure) {
    const fresh = this.#fresh(link);
    if (link.opened === null && this.#accepted.length > 0 && fresh.length > 0) {
      this.#wanted = this.#wanted.filter((topic) => !fresh.includes(topic));
      this.#listener.refused(fresh, failure);
      if (this.#current !== null) this.#narrowLater();
      else if (this.#wanted.length > 0) this.#connect();
      return;
    }
    this.close();
    this.#listener.closed(failure);
  }
  #wait(milliseconds) {
    this.#due = this.#config.environment.now() + milliseconds;
    this.#timer.start(milliseconds, () => this.#connect());
  }
  /** Looks from time to time whether the streams still live. */
  #guard(anew = false) {
    if (this.#watchdog.runs && !anew) return;
    const { openTimeout, ways } = this.#config;
    const first = ways.watches ? ways.config.firstBytesTimeout : openTimeout;
    const often = Math.max(50, Math.min(this.#silence(this.#current) || openTimeout, openTimeout, first) / 4);
    this.#watchdog.start(often, () => {
      this.#guard();
      this.#look();
    });
  }
  /** Milliseconds without a byte after which this stream is dead; 0: never. */
  #silence(link) {
    const told = link?.heartbeat ?? null;
    return this.#config.heartbeatTimeout ?? (told === null ? HEARTBEAT_TIMEOUT : told * 3);
  }
  #look() {
    const { openTimeout, ways, environment } = this.#config;
    const { firstBytesTimeout } = ways.config;
    const now = environment.now();
    const late = (link2) => patience(link2, { openTimeout, firstBytesTimeout, silence: this.#silence(link2) });
    const isLate = (link2) => link2 !== null && late(link2) > 0 && now - link2.alive > late(link2);
    const link = [this.#next, this.#current].find(isLate);
    if (link) {
      const why = `nothing came from the server for ${late(link)} ms`;
      const held = `nothing of the response came for ${late(link)} ms after its headers: a proxy may hold it back`;
      const reason = link.opened !== null ? "silent" : link.answered ? "held" : "late";
      this.#failed(link, { reason, message: reason === "held" ? held : why, final: false });
    } else if (this.#timer.runs && now >= this.#due) {
      if (this.#current !== null) this.#current.placed = true;
      this.#connect();
    }
  }
};
function broken(error) {
  return { reason: "network", message: `the headers could not be made: ${String(error)}`, final: false };
}

// src/disposable.ts
function disposable(what, dispose) {
  if (typeof Symbol.dispose === "symbol") Object.defineProperty(what, Symbol.dispose, { value: dispose });
}

// src/emitter.ts
var Emitter = class {
  #names;
  #listeners = /* @__PURE__ */ new Map();
  constructor(names) {
    this.#names = names;
  }
  /** Calls the listener each time; what it returns takes it off again. */
  on(name, listener, options = {}) {
    if (!this.#names.includes(name)) {
      throw new TypeError(`on(): there is no '${String(name)}' to listen to; there are ${this.#names.join(", ")}`);
    }
    if (typeof listener !== "function") {
      throw new TypeError(`on(): the listener of '${String(name)}' must be a function, ${typeof listener} given`);
    }
    const listeners = this.#listeners.get(name) ?? /* @__PURE__ */ new Set();
    this.#listeners.set(name, listeners);
    const off = () => void listeners.delete(told);
    const told = (event) => {
      if (options.once) off();
      listener(event);
    };
    if (options.signal?.aborted) return off;
    listeners.add(told);
    options.signal?.addEventListener("abort", off, { once: true });
    return off;
  }
  emit(name, event) {
    for (const listener of [...this.#listeners.get(name) ?? []]) guarded(() => listener(event));
  }
};
function guarded(run) {
  try {
    run();
  } catch (error) {
    if (typeof reportError === "function") reportError(error);
    else queueMicrotask(() => {
      throw error;
    });
  }
}

// src/environment.ts
function surroundings() {
  const all = globalThis;
  const page = typeof all.window === "object" && typeof all.document === "object";
  return {
    fetch: all.fetch?.bind(globalThis) ?? null,
    EventSource: all.EventSource ?? null,
    setTimeout: (run, milliseconds) => globalThis.setTimeout(run, milliseconds),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    now: () => Date.now(),
    random: () => Math.random(),
    base: page ? document.baseURI : null,
    window: page ? window : null,
    document: page ? document : null,
    locks: all.navigator?.locks ?? null,
    BroadcastChannel: page ? all.BroadcastChannel ?? null : null,
    SharedWorker: page ? all.SharedWorker ?? null : null,
    storage: page ? storage() : null
  };
}
function storage() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

// src/events.ts
var NAMES = [
  "open",
  "stream",
  "refused",
  "message",
  "gap",
  "finished",
  "reconnecting",
  "error",
  "closed",
  "degraded",
  "restored",
  "leader"
];

// src/eventsource-transport.ts
var ALWAYS = ["message", "gap", "stream", "presence.list", "presence.join", "presence.leave"];
function eventSourceTransport(environment, types) {
  const { EventSource } = environment;
  if (EventSource === null) {
    throw new Error("SSEManager: transport 'eventsource' needs EventSource, which this runtime doesn't have");
  }
  return (request, listener) => {
    const source = new EventSource(request.url, { withCredentials: request.withCredentials });
    let enveloped = false;
    let first = true;
    let lastId = "";
    const received = (event) => {
      listener.alive();
      const id = event.lastEventId === "" || event.lastEventId === lastId ? null : event.lastEventId;
      lastId = event.lastEventId;
      if (event.type === "message" && (first || enveloped)) {
        const frame = unwrap(event.data, event.lastEventId);
        if (first) enveloped = frame?.kind === "cursor";
        first = false;
        if (enveloped && frame !== null) {
          listener.frame(frame);
          return;
        }
      }
      listener.frame({ kind: "event", id, type: event.type, data: event.data, topics: [], finished: false, retained: null });
    };
    source.onopen = () => listener.open(null);
    for (const type of /* @__PURE__ */ new Set([...ALWAYS, ...types])) source.addEventListener(type, received);
    source.onerror = () => {
      const gaveUp = source.readyState === 2;
      source.close();
      const reason = gaveUp ? "refused" : "network";
      const message2 = gaveUp ? "the browser gave up on the stream" : "the connection failed or ended";
      listener.fail({ reason, message: message2, final: false });
    };
    return () => source.close();
  };
}
function unwrap(data, id) {
  let content;
  try {
    content = JSON.parse(data);
  } catch {
    return null;
  }
  if (typeof content !== "object" || content === null) return null;
  const { cursor, reached, topics: told, event, data: inner, finished, retained: last } = content;
  if (typeof cursor === "string") return { kind: "cursor", id: cursor };
  if (typeof reached === "string") return { kind: "reached", id: reached };
  if (!Array.isArray(told) || typeof inner !== "string") return null;
  const type = typeof event === "string" ? event : "message";
  const topics = told.map(String);
  const retained = typeof last === "string" ? last : null;
  const hasId = id !== "" && retained === null && !topics.some((topic) => topic.startsWith("$"));
  return { kind: "event", id: hasId ? id : null, type, data: inner, topics, finished: finished === true, retained };
}

// node_modules/eventsource-parser/dist/index.js
var ParseError = class extends Error {
  constructor(message2, options) {
    super(message2), this.name = "ParseError", this.type = options.type, this.field = options.field, this.value = options.value, this.line = options.line;
  }
};
var LF = 10;
var CR = 13;
var SPACE = 32;
function noop(_arg) {
}
function createParser(config) {
  if (typeof config == "function")
    throw new TypeError(
      "`config` must be an object, got a function instead. Did you mean `createParser({onEvent: fn})`?"
    );
  const { onEvent = noop, onError = noop, onRetry = noop, onComment, maxBufferSize } = config, pendingFragments = [];
  let pendingFragmentsLength = 0, isFirstChunk = true, id, data = "", dataLines = 0, eventType, terminated = false;
  function feed(chunk) {
    if (terminated)
      throw new Error(
        "Cannot feed parser: it was terminated after exceeding the configured max buffer size. Call `reset()` to resume parsing."
      );
    if (isFirstChunk && (isFirstChunk = false, chunk.charCodeAt(0) === 239 && chunk.charCodeAt(1) === 187 && chunk.charCodeAt(2) === 191 && (chunk = chunk.slice(3))), pendingFragments.length === 0) {
      const trailing2 = processLines(chunk);
      trailing2 !== "" && (pendingFragments.push(trailing2), pendingFragmentsLength = trailing2.length), checkBufferSize();
      return;
    }
    if (chunk.indexOf(`
`) === -1 && chunk.indexOf("\r") === -1) {
      pendingFragments.push(chunk), pendingFragmentsLength += chunk.length, checkBufferSize();
      return;
    }
    pendingFragments.push(chunk);
    const input = pendingFragments.join("");
    pendingFragments.length = 0, pendingFragmentsLength = 0;
    const trailing = processLines(input);
    trailing !== "" && (pendingFragments.push(trailing), pendingFragmentsLength = trailing.length), checkBufferSize();
  }
  function checkBufferSize() {
    maxBufferSize !== void 0 && (pendingFragmentsLength + data.length <= maxBufferSize || (terminated = true, pendingFragments.length = 0, pendingFragmentsLength = 0, id = void 0, data = "", dataLines = 0, eventType = void 0, onError(
      new ParseError(`Buffered data exceeded max buffer size of ${maxBufferSize} characters`, {
        type: "max-buffer-size-exceeded"
      })
    )));
  }
  function processLines(chunk) {
    let searchIndex = 0;
    if (chunk.indexOf("\r") === -1) {
      let lfIndex = chunk.indexOf(`
`, searchIndex);
      for (; lfIndex !== -1; ) {
        if (searchIndex === lfIndex) {
          dataLines > 0 && onEvent({ id, event: eventType, data }), id = void 0, data = "", dataLines = 0, eventType = void 0, searchIndex = lfIndex + 1, lfIndex = chunk.indexOf(`
`, searchIndex);
          continue;
        }
        const firstCharCode = chunk.charCodeAt(searchIndex);
        if (isDataPrefix(chunk, searchIndex, firstCharCode)) {
          const valueStart = chunk.charCodeAt(searchIndex + 5) === SPACE ? searchIndex + 6 : searchIndex + 5, value = chunk.slice(valueStart, lfIndex);
          if (dataLines === 0 && chunk.charCodeAt(lfIndex + 1) === LF) {
            onEvent({ id, event: eventType, data: value }), id = void 0, data = "", eventType = void 0, searchIndex = lfIndex + 2, lfIndex = chunk.indexOf(`
`, searchIndex);
            continue;
          }
          data = dataLines === 0 ? value : `${data}
${value}`, dataLines++;
        } else isEventPrefix(chunk, searchIndex, firstCharCode) ? eventType = chunk.slice(
          chunk.charCodeAt(searchIndex + 6) === SPACE ? searchIndex + 7 : searchIndex + 6,
          lfIndex
        ) || void 0 : parseLine(chunk, searchIndex, lfIndex);
        searchIndex = lfIndex + 1, lfIndex = chunk.indexOf(`
`, searchIndex);
      }
      return chunk.slice(searchIndex);
    }
    for (; searchIndex < chunk.length; ) {
      const crIndex = chunk.indexOf("\r", searchIndex), lfIndex = chunk.indexOf(`
`, searchIndex);
      let lineEnd = -1;
      if (crIndex !== -1 && lfIndex !== -1 ? lineEnd = crIndex < lfIndex ? crIndex : lfIndex : crIndex !== -1 ? crIndex === chunk.length - 1 ? lineEnd = -1 : lineEnd = crIndex : lfIndex !== -1 && (lineEnd = lfIndex), lineEnd === -1)
        break;
      parseLine(chunk, searchIndex, lineEnd), searchIndex = lineEnd + 1, chunk.charCodeAt(searchIndex - 1) === CR && chunk.charCodeAt(searchIndex) === LF && searchIndex++;
    }
    return chunk.slice(searchIndex);
  }
  function parseLine(chunk, start, end) {
    if (start === end) {
      dispatchEvent();
      return;
    }
    const firstCharCode = chunk.charCodeAt(start);
    if (isDataPrefix(chunk, start, firstCharCode)) {
      const valueStart = chunk.charCodeAt(start + 5) === SPACE ? start + 6 : start + 5, value2 = chunk.slice(valueStart, end);
      data = dataLines === 0 ? value2 : `${data}
${value2}`, dataLines++;
      return;
    }
    if (isEventPrefix(chunk, start, firstCharCode)) {
      eventType = chunk.slice(chunk.charCodeAt(start + 6) === SPACE ? start + 7 : start + 6, end) || void 0;
      return;
    }
    if (firstCharCode === 105 && chunk.charCodeAt(start + 1) === 100 && chunk.charCodeAt(start + 2) === 58) {
      const value2 = chunk.slice(chunk.charCodeAt(start + 3) === SPACE ? start + 4 : start + 3, end);
      value2.includes("\0") || (id = value2);
      return;
    }
    if (firstCharCode === 58) {
      if (onComment) {
        const line2 = chunk.slice(start, end);
        onComment(line2.slice(chunk.charCodeAt(start + 1) === SPACE ? 2 : 1));
      }
      return;
    }
    const line = chunk.slice(start, end), fieldSeparatorIndex = line.indexOf(":");
    if (fieldSeparatorIndex === -1) {
      processField(line, "", line);
      return;
    }
    const field = line.slice(0, fieldSeparatorIndex), offset = line.charCodeAt(fieldSeparatorIndex + 1) === SPACE ? 2 : 1, value = line.slice(fieldSeparatorIndex + offset);
    processField(field, value, line);
  }
  function processField(field, value, line) {
    switch (field) {
      case "event":
        eventType = value || void 0;
        break;
      case "data":
        data = dataLines === 0 ? value : `${data}
${value}`, dataLines++;
        break;
      case "id":
        value.includes("\0") || (id = value);
        break;
      case "retry":
        /^\d+$/.test(value) ? onRetry(parseInt(value, 10)) : onError(
          new ParseError(`Invalid \`retry\` value: "${value}"`, {
            type: "invalid-retry",
            value,
            line
          })
        );
        break;
      default:
        onError(
          new ParseError(
            `Unknown field "${field.length > 20 ? `${field.slice(0, 20)}\u2026` : field}"`,
            { type: "unknown-field", field, value, line }
          )
        );
        break;
    }
  }
  function dispatchEvent() {
    dataLines > 0 && onEvent({
      id,
      event: eventType,
      data
    }), id = void 0, data = "", dataLines = 0, eventType = void 0;
  }
  function reset(options = {}) {
    if (options.consume && pendingFragments.length > 0) {
      const incompleteLine = pendingFragments.join("");
      parseLine(incompleteLine, 0, incompleteLine.length);
    }
    isFirstChunk = true, id = void 0, data = "", dataLines = 0, eventType = void 0, pendingFragments.length = 0, pendingFragmentsLength = 0, terminated = false;
  }
  return { feed, reset };
}
function isDataPrefix(chunk, i, firstCharCode) {
  return firstCharCode === 100 && chunk.charCodeAt(i + 1) === 97 && chunk.charCodeAt(i + 2) === 116 && chunk.charCodeAt(i + 3) === 97 && chunk.charCodeAt(i + 4) === 58;
}
function isEventPrefix(chunk, i, firstCharCode) {
  return firstCharCode === 101 && chunk.charCodeAt(i + 1) === 118 && chunk.charCodeAt(i + 2) === 101 && chunk.charCodeAt(i + 3) === 110 && chunk.charCodeAt(i + 4) === 116 && chunk.charCodeAt(i + 5) === 58;
}

// src/fetch-transport.ts
function fetchTransport({ fetch, now }) {
  if (fetch === null) throw new Error("SSEManager: transport 'fetch' needs fetch(), which this runtime doesn't have");
  return (request, listener) => {
    const abort = new AbortController();
    const fail = (failure) => {
      if (abort.signal.aborted) return;
      abort.abort();
      listener.fail(failure);
    };
    const read = async () => {
      const response = await fetch(request.url, {
        method: request.method,
        ...request.body !== null && { body: request.body },
        // "Set request's cache mode to 'no-store'."
        cache: "no-store",
        // "(`Accept`, `text/event-stream`)"
        headers: { Accept: "text/event-stream", ...request.headers },
        credentials: request.withCredentials ? "include" : "same-origin",
        signal: abort.signal
      });
      if (abort.signal.aborted) return;
      if (response.status !== 200) {
        fail(ofStatus(response.status, response.headers.get("Retry-After"), now()));
        return;
      }
      const type = response.headers.get("Content-Type") ?? "";
      if (!/^text\/event-stream\s*(;|$)/i.test(type) || response.body === null) {
        const message2 = `the response is no event stream, but '${type}'`;
        fail({ reason: "type", message: message2, status: 200, final: false });
        return;
      }
      listener.open(response.headers.get("Sse-Refused"));
      await parse3(response.body);
      fail({ reason: "ended", message: "the server ended the stream", final: false });
    };
    const parse3 = async (body) => {
      let topics = [];
      let finished = false;
      let retained = null;
      const parser = createParser({
        onEvent: ({ id, event, data }) => {
          if (abort.signal.aborted) return;
          const told = { topics, finished, retained };
          topics = [];
          finished = false;
          retained = null;
          listener.frame({ kind: "event", id: id ?? null, type: event ?? "message", data, ...told });
        },
        onRetry: (milliseconds) => listener.retry(milliseconds),
        // "Otherwise: The field is ignored", and so it is by every other client.
        onError: ({ type, field, value = "" }) => {
          if (type !== "unknown-field" || abort.signal.aborted) return;
          if (field === "topic") topics.push(value);
          if (field === "finished") finished = true;
          if (field === "retained") retained = value;
          if (field === "heartbeat" && /^\d{1,9}$/.test(value)) listener.heartbeat(Number(value));
          if (field === "cursor" || field === "reached") listener.frame({ kind: field, id: value });
        }
      });
      const decoder = new TextDecoder();
      const lines = unifyLineEnds();
      const reader = body.getReader();
      for (; ; ) {
        const { done, value } = await reader.read();
        if (done || abort.signal.aborted) return;
        listener.alive();
        parser.feed(lines(decoder.decode(value, { stream: true })));
      }
    };
    read().catch((error) => {
      fail({ reason: "network", message: `the connection failed: ${String(error)}`, final: false });
    });
    return () => abort.abort();
  };
}
function unifyLineEnds() {
  let endedByCr = false;
  return (chunk) => {
    if (chunk === "") return chunk;
    const rest = endedByCr && chunk.startsWith("\n") ? chunk.slice(1) : chunk;
    endedByCr = chunk.endsWith("\r");
    return rest.includes("\r") ? rest.replace(/\r\n?/g, "\n") : rest;
  };
}

// src/presence.ts
var PREFIX = "$presence.";
var NAMES2 = ["list", "join", "leave"];
var Rooms = class {
  #rooms = /* @__PURE__ */ new Map();
  #listeners = /* @__PURE__ */ new Set();
  /** Topics that somebody listens to: the stream must have them by their names, as nobody is on a pattern. */
  get wanted() {
    return [...this.#listeners].map(({ topic }) => topic);
  }
  room(topic) {
    return this.#rooms.get(topic);
  }
  /** Rooms that one of these patterns covers. */
  among(patterns) {
    return [...this.#rooms.values()].filter(({ topic }) => patterns.some((pattern) => covers(pattern, topic)));
  }
  listen(topic, tell) {
    const listener = { topic, tell };
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
  /** Takes what an event of the hub tells; false if the event tells nothing of the kind. */
  take(frame) {
    const told = parse2(frame);
    if (told === null) return false;
    const { kind, topic, members, count, more } = told;
    const room = kind === "list" ? { topic, members: /* @__PURE__ */ new Map(), count, more } : this.#rooms.get(topic);
    if (room === void 0) return true;
    this.#rooms.set(topic, room);
    room.count = count;
    for (const member of members) {
      if (kind === "leave") room.members.delete(member.id);
      else room.members.set(member.id, member);
    }
    this.#tell(told);
    return true;
  }
  /** Takes rooms from the tab that has the connection, where this one has missed their lists. */
  learn(rooms) {
    for (const room of rooms) {
      if (this.#rooms.has(room.topic)) continue;
      this.#rooms.set(room.topic, room);
      this.#tell({ ...room, kind: "list", members: [...room.members.values()] });
    }
  }
  /** The stream has these topics now; nothing more is told of others. */
  keep(patterns) {
    const kept = new Set(this.among(patterns));
    for (const room of this.#rooms.values()) {
      if (!kept.has(room)) this.#rooms.delete(room.topic);
    }
  }
  /** Nothing is known any more. */
  clear() {
    this.#rooms.clear();
  }
  #tell(told) {
    for (const listener of [...this.#listeners]) {
      if (listener.topic === told.topic) listener.tell(told);
    }
  }
};
function presenceOf(rooms, topic, subscription) {
  const emitter = new Emitter(NAMES2);
  let settle = { resolve: () => {
  }, reject: () => {
  } };
  const ready = new Promise((resolve, reject) => {
    settle = { resolve, reject };
  });
  ready.catch(() => {
  });
  subscription.ready.catch((error) => settle.reject(error));
  const leave = rooms.listen(topic, ({ kind, members, count, more }) => {
    if (kind === "list") settle.resolve();
    emitter.emit(kind, { members, count, more });
  });
  if (rooms.room(topic) !== void 0) settle.resolve();
  const close = () => {
    leave();
    subscription();
    settle.reject(new Error(`the presence of '${topic}' was closed`));
  };
  const on = (name, listener, options) => emitter.on(name, listener, options);
  const once = (name, listener) => emitter.on(name, listener, { once: true });
  const presence = {
    topic,
    get list() {
      return [...rooms.room(topic)?.members.values() ?? []];
    },
    get count() {
      return rooms.room(topic)?.count ?? 0;
    },
    get more() {
      return rooms.room(topic)?.more ?? false;
    },
    ready,
    on,
    once,
    close
  };
  disposable(presence, close);
  return presence;
}
function parse2({ type, id, data, topics }) {
  if (!type.startsWith("presence.") || id !== null) return null;
  const kind = NAMES2.find((kind2) => type === `presence.${kind2}`);
  if (kind === void 0 || !topics.every((topic) => topic.startsWith(PREFIX))) return null;
  try {
    const { topic, count, members, more } = JSON.parse(data);
    if (typeof topic !== "string" || typeof count !== "number" || !Array.isArray(members)) return null;
    return { kind, topic, count, members, more: more === true };
  } catch {
    return null;
  }
}

// src/inbox.ts
var REMEMBERED = 1e3;
var Inbox = class {
  subscribers = /* @__PURE__ */ new Set();
  rooms = new Rooms();
  /** The newest place up to which this tab has everything. */
  #position;
  /** The stream that this tab reads: one that began, or was joined, where the tab was. */
  #reads = null;
  /** Events by publishers' own ids, and the stream that brought each. */
  #remembered = /* @__PURE__ */ new Map();
  #gap;
  #message;
  #finished;
  constructor(position, gap, message2, finished) {
    this.#position = position;
    this.#gap = gap;
    this.#message = message2;
    this.#finished = finished;
  }
  get position() {
    return this.#position;
  }
  /** What all subscriptions watch, without what another pattern covers. */
  get topics() {
    return union([...this.subscribers].map(({ pattern }) => pattern), this.rooms.wanted);
  }
  /** The topics of subscriptions that have not had a last event. */
  get unfinished() {
    return union([...this.subscribers].filter(({ isFinished }) => !isFinished).map(({ pattern }) => pattern));
  }
  /** Ends a subscription; true if it was one. After the last one, nothing is needed from anywhere. */
  remove(subscriber) {
    const removed = this.subscribers.delete(subscriber);
    if (this.subscribers.size === 0) this.#position = null;
    return removed;
  }
  /** Whether anything is needed from where it is. */
  get hasBegun() {
    return [...this.subscribers].some(({ began }) => began);
  }
  /** This tab goes on from here. */
  resume(place) {
    this.#advance(place);
  }
  /**
   * A stream of these topics is open, and begins at this place. False if that is too late for this tab: it doesn't read the
   * stream then, as it would take what it has missed for what it has had.
   */
  opened(link, topics, from) {
    this.#reads = this.#isIn(from) ? link : null;
    if (this.#reads === null) return false;
    this.rooms.keep(topics);
    for (const subscriber of this.subscribers) {
      if (allCovered([subscriber.pattern], topics)) subscriber.opened(link, true);
    }
    return true;
  }
  /** A stream that has been open for some time is at `place`, and everything up to `now` has come by it or another. */
  joined(link, topics, place, now) {
    if (this.#reads !== link && !this.#isIn(place)) return false;
    this.#reads = link;
    this.#position ??= now;
    for (const subscriber of this.subscribers) {
      if (!allCovered([subscriber.pattern], topics)) continue;
      subscriber.opened(link, false);
      if (now !== null) subscriber.begin(now);
    }
    return true;
  }
  /** A stream is asked to bring these topics as well. */
  expect(link, topics) {
    if (this.#reads !== link) return;
    for (const subscriber of this.subscribers) {
      if (!subscriber.began && allCovered([subscriber.pattern], topics)) subscriber.expect(link);
    }
  }
  /** A stream has these topics, and of those that are new everything after `place`. False if this tab doesn't read it. */
  changed(link, topics, place) {
    if (this.#reads !== link) return false;
    this.rooms.keep(topics);
    for (const subscriber of this.subscribers) {
      if (!allCovered([subscriber.pattern], topics)) continue;
      subscriber.opened(link, false);
      subscriber.begin(place);
    }
    return true;
  }
  /** This tab hears nothing any more, until it joins again. */
  left() {
    this.#reads = null;
    this.rooms.clear();
  }
  /** Whether this tab misses nothing by a stream that goes on from this place. */
  #isIn(place) {
    if (place === null || this.#position === null) return true;
    const order = compare(place, this.#position);
    return order === null || order <= 0;
  }
  received(received) {
    const { frame, link, ordered } = received;
    if (link !== this.#reads) return;
    if (frame.kind === "cursor") {
      if (this.#position === null) this.#position = frame.id;
      for (const subscriber of this.subscribers) subscriber.cursor(frame.id, link);
    } else if (frame.kind === "reached") {
      this.#advance(frame.id);
      for (const subscriber of this.subscribers) subscriber.reached(link);
    } else if (isGap(frame)) {
      this.#tellGap(frame);
    } else if (!this.rooms.take(frame) || frame.topics.length > 0) {
      this.#advance(frame.id);
      if (frame.id !== null && !(ordered && isOrdered(frame.id)) && this.#cameBefore(frame, frame.id, link)) return;
      const claiming = [...this.subscribers].filter((subscriber) => subscriber.claims(frame, received));
      if (claiming.length > 0) this.#message(frame);
      for (const subscriber of claiming) subscriber.take(frame);
      if (frame.finished && claiming.length > 0) this.#finished(frame.topics);
    }
  }
  #advance(id) {
    if (id === null) return;
    const order = this.#position === null ? null : compare(id, this.#position);
    if (order === null || order > 0) this.#position = id;
  }
  /** Whether this event came by an earlier stream: the same id, type and data. */
  #cameBefore({ type, data }, id, link) {
    const key = `${id}
${type}
${data.length}
${hash(data)}`;
    const by = this.#remembered.get(key);
    this.#remembered.delete(key);
    if (by !== void 0 && by !== link) return true;
    this.#remembered.set(key, link);
    if (this.#remembered.size > REMEMBERED) {
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest);
        break;
      }
    }
    return false;
  }
  /** The place that was asked for may have been another tab's, and before what this one has. */
  #tellGap(frame) {
    if (!this.hasBegun) return;
    const { requested, oldest } = parseGap(frame.data);
    if (this.#position !== null && oldest !== null) {
      const ahead = compare(this.#position, requested);
      const kept = compare(this.#position, oldest);
      if (ahead !== null && ahead > 0 && kept !== null && kept >= 0) return;
    }
    this.#gap({ requested, oldest });
  }
};
function union(patterns, exact = []) {
  const all = [...new Set(patterns)].sort();
  return all.filter((pattern) => exact.includes(pattern) || !all.some((other) => other !== pattern && allCovered([pattern], [other])));
}
function isGap({ type, id, topics }) {
  return type === "gap" && id === null && topics.length === 0;
}
function parseGap(data) {
  try {
    const { requested, oldest } = JSON.parse(data);
    return { requested: String(requested ?? ""), oldest: typeof oldest === "string" ? oldest : null };
  } catch {
    return { requested: "", oldest: null };
  }
}
function hash(text) {
  let value = 2166136261;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 16777619);
  return value >>> 0;
}

// src/memory.ts
var Memory = class {
  #store;
  #key;
  #place;
  constructor(store, url, session) {
    this.#store = store;
    this.#key = `sse-manager ${url} ${session}`;
    this.#place = this.#read();
  }
  /** Where the subscription of this pattern was; null if there was none. */
  position(pattern) {
    const place = this.#place;
    return place !== null && allCovered([pattern], place.topics) ? place.position : null;
  }
  /** The page is there again: its place is the page's own affair, and no tab that copies this one's storage is to go on from it. */
  forget() {
    this.save(null, []);
  }
  save(position, topics) {
    try {
      if (position === null) this.#store.removeItem(this.#key);
      else this.#store.setItem(this.#key, JSON.stringify({ position, topics }));
    } catch {
    }
  }
  #read() {
    try {
      const place = JSON.parse(this.#store.getItem(this.#key) ?? "null");
      return typeof place?.position === "string" && Array.isArray(place.topics) ? place : null;
    } catch {
      return null;
    }
  }
};

// src/message.ts
function message(frame, topic, decode) {
  const { type, topics, data: text, id, retained } = frame;
  const told = { topic, topics, type, text, id: id ?? retained ?? "", retained: retained !== null };
  return { ...told, data: decoded(text, told, decode) };
}
function decoded(text, told, decode) {
  if (decode === "text") return text;
  if (decode !== "json") return decode(text, told);
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// src/page.ts
function watchPage({ window: window2, document: document2 }, listener) {
  const stops = [];
  const on = (target, type, run) => {
    target?.addEventListener(type, run);
    stops.push(() => target?.removeEventListener(type, run));
  };
  let offline = false;
  let gone = false;
  const away = () => {
    if (gone) return;
    gone = true;
    listener.away();
  };
  const back = () => {
    if (!gone) return;
    gone = false;
    listener.back();
  };
  on(window2, "offline", () => offline = true);
  on(window2, "online", () => {
    listener.online(offline);
    offline = false;
  });
  on(window2, "pagehide", away);
  on(window2, "pageshow", (event) => {
    if (event.persisted) back();
  });
  on(document2, "freeze", away);
  on(document2, "resume", back);
  on(document2, "visibilitychange", () => {
    if (document2?.visibilityState === "hidden") listener.hidden();
    else listener.seen();
  });
  return () => {
    for (const stop of stops) stop();
  };
}

// src/refused.ts
function parseRefused(header) {
  const parts = header.split(",").map((part) => part.trim()).filter((part) => part !== "");
  return { names: parts.filter((part) => part !== "*").map(decoded2), more: parts.includes("*") };
}
function decoded2(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

// src/post.ts
async function post(config, fetch, request) {
  const { headers = {}, withCredentials } = config;
  const send = async (renew) => fetch(request.url, {
    method: "POST",
    headers: {
      Accept: "application/json",
      ...typeof headers === "function" ? await headers({ renew }) : headers,
      ...request.headers
    },
    credentials: withCredentials ? "include" : "same-origin",
    body: request.body,
    ...request.signal && { signal: request.signal }
  });
  const response = await send(false);
  return response.status === 401 && typeof headers === "function" ? send(true) : response;
}

// src/send.ts
var SendError = class extends Error {
  status;
  /** The answer's body. */
  body;
  constructor(status, body) {
    super(`send(): the server answered ${status}${body === "" ? "" : `: ${body.slice(0, 200)}`}`);
    this.name = "SendError";
    this.status = status;
    this.body = body;
  }
};
async function publish(config, { fetch }, topic, data, { event, id, signal, headers: more }) {
  const { publishUrl } = config;
  if (publishUrl === void 0) throw new TypeError("send(): config.publishUrl is not set; it names the script to post to");
  if (fetch === null) throw new TypeError("send(): this runtime has no fetch()");
  const body = JSON.stringify({ topic, data, ...event !== void 0 && { event }, ...id !== void 0 && { id } });
  const response = await post(config, fetch, {
    url: publishUrl,
    body,
    headers: { "Content-Type": "application/json", ...more },
    signal
  });
  const answer = await response.text();
  if (!response.ok) throw new SendError(response.status, answer);
  try {
    return JSON.parse(answer);
  } catch {
    return answer;
  }
}

// src/steer.ts
var NEVER = [404, 405, 501];
function steerBy(config, { base, fetch }) {
  const { topicsUrl } = config;
  if (topicsUrl === void 0 || fetch === null) return null;
  const url = new URL(topicsUrl, base ?? void 0).href;
  return async ({ stream, add, remove }, signal) => {
    try {
      const body = new URLSearchParams({ stream, add: add.join(","), remove: remove.join(",") });
      const response = await post(config, fetch, { url, body, headers: {}, signal });
      if (!/^application\/json\b/i.test(response.headers.get("Content-Type") ?? "")) {
        await response.body?.cancel();
        return { what: response.ok || NEVER.includes(response.status) ? "never" : "refused" };
      }
      const answer = await response.json();
      if (response.ok) return typeof answer?.cursor === "string" ? { what: "done", cursor: answer.cursor } : { what: "unknown" };
      return { what: NEVER.includes(response.status) ? "never" : response.status === 409 ? "gone" : "refused" };
    } catch {
      return { what: "unknown" };
    }
  };
}

// src/subscription.ts
var MAX_WAITING = 1e4;
var Subscriber = class {
  pattern;
  ready;
  finished;
  #handler;
  #decode;
  #waiting = [];
  #wanting = [];
  #settle = { resolve: () => {
  }, reject: () => {
  } };
  /** Null until it is known where it begins. */
  #began = null;
  #link = null;
  /** Whether it takes last values: until a stream that began with its topic has sent all there are. */
  #takesLast = true;
  /** Whether a stream has begun since, with its topic. */
  #hasBegunStream = false;
  /** Topics of which it has had an event before their last values: that was newer. */
  #topics = /* @__PURE__ */ new Set();
  /** The newest last value that it has had. */
  #lastValue = null;
  #ended = false;
  /** Whether the last event of its topic has come, and nothing after it. */
  #last = false;
  #tellFinished = () => {
  };
  #overflown = false;
  /** Why the server does not have it at present. */
  #failure = null;
  /** Why an iterator is over, until it has been told. */
  #outcome = null;
  #over;
  #types;
  #once;
  constructor(pattern, handler, decode, from, { type, once = false }, over) {
    this.#types = type === void 0 ? null : typeof type === "string" ? [type] : type;
    this.#once = once;
    this.pattern = pattern;
    this.#over = over;
    this.#handler = handler;
    this.#decode = decode;
    this.ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.finished = new Promise((resolve) => {
      this.#tellFinished = resolve;
    });
    this.ready.catch(() => {
    });
    if (from !== null) this.begin(from);
  }
  /** Whether it has a place, from which everything is needed. */
  get began() {
    return this.#began !== null;
  }
  /** It begins after this place; null: with whatever comes next. */
  begin(place) {
    this.#began ??= { place: place !== null && isOrdered(place) ? place : null, link: null };
  }
  /** A stream that has its topic is open; `begins`: it has just begun, and not long ago. */
  opened(link, begins) {
    this.#link = link;
    this.#hasBegunStream ||= begins;
    this.#failure = this.#outcome = null;
    this.#settle.resolve();
  }
  /** The stream that is open may have its topic from now on: the first event that comes shows that it has. */
  expect(link) {
    this.#link = link;
  }
  /** The hub's newest event when the stream began. */
  cursor(id, link) {
    if (this.#link === link) this.begin(id);
  }
  /** The stream has sent all from before it began. */
  reached(link) {
    if (this.#link !== link || !this.#hasBegunStream) return;
    this.#takesLast = false;
    this.#topics.clear();
  }
  /** Whether another stream has to begin for its last values. */
  get wantsStream() {
    return !this.#hasBegunStream;
  }
  /** Whether the event is for it, and is none that it has had. */
  claims(frame, { link, ordered }) {
    if (this.#ended || this.#topic(frame) === void 0) return false;
    if (frame.retained !== null) {
      const isNew = this.#takesLast ? !frame.topics.some((topic) => this.#topics.has(topic)) : this.#hasMissed(frame.retained);
      return this.#link === link && isNew;
    }
    if (this.#began === null && this.#link === link) this.begin(null);
    if (this.#began === null) return false;
    if (frame.finished && this.#takesLast && this.#link === link && this.#began.link === null) return true;
    return !(ordered && this.#isPast(frame.id, link));
  }
  /** Gets an event that it claims. */
  take(frame) {
    const topic = this.#topic(frame);
    if (this.#ended || topic === void 0) return;
    if (frame.retained !== null) this.#lastValue = frame.retained;
    else if (this.#takesLast) this.#topics.add(topic);
    this.#last = frame.finished && frame.topics.includes(this.pattern);
    if (this.#types === null || this.#types.includes(frame.type)) {
      this.#deliver(message(frame, topic, this.#decode));
      if (this.#once) this.#over();
    }
    if (!this.#last) return;
    this.#tellFinished();
    for (const { resolve } of this.#wanting.splice(0)) this.#finish("end").then(resolve);
  }
  /** Whether the last event that it has had is the last one of its topic. */
  get isFinished() {
    return this.#last;
  }
  /** The event's topic that it watches. Where the server told no topic, everybody may be meant. */
  #topic(frame) {
    return frame.topics.length === 0 ? "" : frame.topics.find((topic) => matches(this.pattern, topic));
  }
  end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#settle.reject(error ?? new Error(`the subscription of '${this.pattern}' was ended`));
    for (const { resolve } of this.#wanting) resolve({ done: true, value: void 0 });
    this.#wanting = [];
  }
  get failure() {
    return this.#failure;
  }
  /** The server does not have it yet. */
  fail(failure) {
    this.#failure = failure;
  }
  /**
   * The server will not have it. A handler may hear of it again after `connect()`; a loop ends here: by the error, or, if the server
   * has said that nothing more is to come, as one does.
   */
  refuse(error, failure) {
    if (this.#ended) return;
    this.#failure = failure;
    this.#outcome = isEnd(failure) ? "end" : error;
    if (isEnd(failure)) this.#tellFinished();
    this.#settle.reject(error);
    const first = this.#wanting.shift();
    if (first === void 0) return;
    this.#finish().then(first.resolve, first.reject);
  }
  /** Ends the iterator by what it is over for. */
  #finish(outcome = this.#outcome) {
    this.#outcome = null;
    this.#over();
    return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve({ done: true, value: void 0 });
  }
  next() {
    const first = this.#waiting.shift();
    if (first !== void 0) return Promise.resolve({ done: false, value: first });
    if (this.#overflown) {
      this.#overflown = false;
      this.#over();
      const error = `more than ${MAX_WAITING} events of '${this.pattern}' waited for the iterator, and were dropped`;
      return Promise.reject(new Error(error));
    }
    if (this.#ended) return Promise.resolve({ done: true, value: void 0 });
    if (this.#last) return this.#finish("end");
    if (this.#outcome !== null) return this.#finish();
    return new Promise((resolve, reject) => this.#wanting.push({ resolve, reject }));
  }
  /** Whether a last value is newer than all that has come: the history has it no more. */
  #hasMissed(id) {
    const places = [this.#began?.place ?? null, this.#lastValue].filter((place) => place !== null);
    return places.length > 0 && places.every((place) => (compare(id, place) ?? 0) > 0);
  }
  /** Whether an event of an ordered stream has come before, or is older than the beginning. */
  #isPast(id, link) {
    if (id === null || !isOrdered(id) || this.#began === null) return false;
    const { place, link: by } = this.#began;
    const order = place === null ? null : compare(id, place);
    if (order !== null && (order < 0 || order === 0 && by !== link)) return true;
    this.#began = { place: id, link };
    return false;
  }
  #deliver(message2) {
    if (this.#handler) guarded(() => this.#handler?.(message2));
    const wanting = this.#wanting.shift();
    if (wanting) wanting.resolve({ done: false, value: message2 });
    else if (!this.#handler && !this.#overflown) {
      this.#waiting.push(message2);
      if (this.#waiting.length > MAX_WAITING) {
        this.#overflown = true;
        this.#waiting.length = MAX_WAITING;
      }
    }
  }
};
function handle(subscriber, end) {
  const iterator = () => ({
    next: () => subscriber.next(),
    return: () => {
      end();
      return Promise.resolve({ done: true, value: void 0 });
    }
  });
  const { pattern: topic, ready, finished } = subscriber;
  const subscription = Object.assign(end, { topic, ready, finished, [Symbol.asyncIterator]: iterator });
  Object.defineProperty(subscription, "failure", { get: () => subscriber.failure });
  disposable(subscription, end);
  return subscription;
}

// src/worker-locks.ts
var HELLO = 1e4;
var NoLocks = class extends Error {
};
var MISSING = 4;
var WorkerLocks = class {
  #start;
  /** Null: there is no worker. */
  #port = null;
  #requests = /* @__PURE__ */ new Map();
  /** Until the worker must have said something. */
  #silence;
  #ping = null;
  #ids = 0;
  constructor(url, environment, Worker) {
    this.#silence = new Timer(environment);
    this.#start = () => new Worker(url, "sse-manager");
    this.#connect();
  }
  /** As `navigator.locks.request()`: "when the promise is settled, the lock is released". */
  request(name, { ifAvailable = false, steal = false, signal }, held) {
    if (this.#port === null) return Promise.reject(new NoLocks());
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      const end = () => {
        signal?.removeEventListener("abort", aborted);
        this.#requests.delete(id);
        this.#tell({ do: "release", id });
      };
      const aborted = () => {
        end();
        reject(new Error("AbortError"));
      };
      if (signal?.aborted) return aborted();
      signal?.addEventListener("abort", aborted);
      this.#requests.set(id, (said) => {
        signal?.removeEventListener("abort", aborted);
        if (said === "none" || said === "lost") {
          this.#requests.delete(id);
          reject(said === "none" ? new NoLocks() : new Error("AbortError"));
          return;
        }
        void Promise.resolve(held(said === "granted" ? {} : null)).then(() => {
          end();
          resolve(void 0);
        });
      });
      this.#tell({ do: "request", id, name, ifAvailable, steal });
    });
  }
  #connect() {
    try {
      const worker = this.#start();
      const { port } = worker;
      this.#port = port;
      worker.onerror = () => this.#end();
      port.onmessage = ({ data }) => {
        if (port === this.#port) this.#heard(data);
      };
      this.#silence.start(HELLO, () => this.#end());
    } catch {
      this.#end();
    }
  }
  #heard(word) {
    if (word.say === "hello") this.#ping = word.ping;
    if (this.#ping !== null) this.#silence.start(this.#ping * MISSING, () => this.#again());
    if (word.say === "ping") this.#tell({ do: "pong" });
    else if (word.say !== "hello") this.#requests.get(word.id)?.(word.say);
  }
  #tell(word) {
    this.#port?.postMessage(word);
  }
  /** The worker has ended, or this tab has slept: begins anew with the one that there is. */
  #again() {
    for (const id of this.#requests.keys()) this.#tell({ do: "release", id });
    this.#connect();
    this.#sayAll("lost");
  }
  #end() {
    this.#port = null;
    this.#silence.stop();
    this.#sayAll("none");
  }
  #sayAll(said) {
    for (const told of [...this.#requests.values()]) told(said);
  }
};

// src/tabs.ts
var LOOK_AFTER = 2e4;
var ANSWER = 5e3;
var NO_ANSWER = ["want", "bye", "ping", "again", "hello"];
var Tabs = class _Tabs {
  #name;
  #id;
  #locks;
  #Channel;
  #document;
  #listener;
  #lookAfter;
  #answer;
  #channel = null;
  /** Ends the wait for the lock, or lets it go. */
  #let = null;
  /** Ends all waits. */
  #away = null;
  #leads = false;
  /** Counts joins, so that what an earlier one waited for is not taken for this one's. */
  #turn = 0;
  /** Null where this runtime can't share. */
  static among(name, id, workerUrl, environment, listener) {
    const { BroadcastChannel, SharedWorker } = environment;
    const isWorkers = environment.locks === null && workerUrl !== void 0 && SharedWorker !== null && BroadcastChannel !== null;
    const locks = isWorkers ? new WorkerLocks(workerUrl, environment, SharedWorker) : environment.locks;
    return locks === null || BroadcastChannel === null ? null : new _Tabs(name, id, locks, BroadcastChannel, environment, listener);
  }
  constructor(name, id, locks, Channel, environment, listener) {
    this.#name = `sse-manager ${name}`;
    this.#id = id;
    this.#locks = locks;
    this.#Channel = Channel;
    this.#document = environment.document;
    this.#listener = listener;
    this.#lookAfter = new Timer(environment);
    this.#answer = new Timer(environment);
  }
  /** Whether it has joined the others, or is about to. */
  get joined() {
    return this.#channel !== null;
  }
  get leads() {
    return this.#leads;
  }
  join() {
    const turn = ++this.#turn;
    this.#channel = new this.#Channel(this.#name);
    this.#channel.onmessage = ({ data }) => {
      if (turn !== this.#turn) return;
      const word = data;
      if (!NO_ANSWER.includes(word.say)) this.#answer.stop();
      this.#listener.heard(word);
    };
    const away = new AbortController();
    let letTab = () => {
    };
    let letLead = () => {
    };
    this.#away = away.signal;
    this.#let = () => {
      away.abort();
      letTab();
      letLead();
    };
    const leading = (alone) => {
      if (turn !== this.#turn) return void 0;
      this.#lead(alone);
      return new Promise((resolve) => letLead = resolve);
    };
    const alive = () => {
      if (turn !== this.#turn) return void 0;
      this.#queue = () => this.#hold(turn, { signal: away.signal }, () => leading(false));
      this.#hold(turn, { ifAvailable: true }, (lock) => {
        if (lock !== null) return leading(true);
        this.#queue();
        return void 0;
      });
      this.#listener.joined();
      return new Promise((resolve) => letTab = resolve);
    };
    this.#locks.request(`${this.#name} ${this.#id}`, { signal: away.signal }, alive).catch((error) => {
      if (turn !== this.#turn) return;
      const led = this.#leads;
      this.leave();
      if (error instanceof NoLocks) return this.#listener.alone();
      if (led) this.#listener.follow();
      this.join();
    });
    this.#watchOver();
  }
  #lead(alone) {
    this.#leads = true;
    this.#answer.stop();
    this.#listener.lead(alone);
  }
  /** Looks from time to time whether the tab with the connection is alive: it may be frozen, and hold its lock. */
  #watchOver() {
    this.#lookAfter.start(LOOK_AFTER, () => {
      this.#watchOver();
      if (this.#document?.visibilityState !== "hidden") this.ask();
    });
  }
  /** Asks the tab that has the connection whether it is alive, and takes it over if nothing comes. */
  ask() {
    if (this.#leads || !this.joined || this.#answer.runs) return;
    this.say({ say: "ping" });
    this.#answer.start(ANSWER, () => this.#steal());
  }
  /** Waits for the lock. */
  #queue = () => {
  };
  /** Takes the connection from a tab that doesn't answer: it may be frozen. */
  #steal() {
    const turn = this.#turn;
    if (this.#leads || this.#channel === null) return;
    this.#hold(turn, { steal: true }, () => {
      if (turn !== this.#turn) return void 0;
      this.#lead(false);
      return new Promise((resolve) => {
        const before = this.#let;
        this.#let = () => {
          resolve();
          before?.();
        };
      });
    });
  }
  leave() {
    this.#turn++;
    this.#lookAfter.stop();
    this.#answer.stop();
    if (this.#channel !== null) this.say({ say: "bye", tab: this.#id });
    this.#leads = false;
    this.#let?.();
    this.#let = null;
    this.#channel?.close();
    this.#channel = null;
  }
  say(word) {
    this.#channel?.postMessage(word);
  }
  /** Calls `gone` when that tab has ended, however it did. */
  outlive(tab, gone) {
    const turn = this.#turn;
    const options = this.#away === null ? {} : { signal: this.#away };
    this.#locks.request(`${this.#name} ${tab}`, options, () => turn === this.#turn ? gone() : void 0).catch(() => {
    });
  }
  #hold(turn, options, held) {
    this.#locks.request(this.#name, options, held).catch(() => {
      if (turn !== this.#turn || !this.#leads) return;
      this.#leads = false;
      this.#listener.follow();
      this.#queue();
    });
  }
};

// src/url.ts
function streamUrl(config, environment) {
  const { url, headers = {}, method = "GET" } = config;
  const { base, fetch } = environment;
  const transport = config.transport ?? (fetch === null || typeof ReadableStream === "undefined" ? "eventsource" : "fetch");
  const posts = method === "POST" && transport === "fetch";
  const topicsAs = transport === "fetch" ? "field" : "envelope";
  const absolute = (address) => new URL(address, base ?? void 0);
  const ask = (parameters, { topics, lastEventId, retained }) => {
    parameters.set("topics", topics.join(","));
    parameters.set("topicsAs", topicsAs);
    if (config.retained && retained) parameters.set("retained", "1");
    if (lastEventId !== null) parameters.set("lastEventId", lastEventId);
    return parameters;
  };
  const of = (wanted) => {
    const { topics, lastEventId, asked } = wanted;
    const made = typeof url === "function" ? url({ topics, lastEventId, topicsAs }) : null;
    if (made !== null && asked.way === "stream") return made;
    const address = absolute(made ?? url);
    if (made === null && !posts) ask(address.searchParams, wanted);
    if (asked.lifetime > 0) address.searchParams.set("maxLifetime", String(Math.max(1, Math.ceil(asked.lifetime / 1e3))));
    if (asked.way === "poll") address.searchParams.set("longPoll", "1");
    return address.href;
  };
  const name = typeof url === "function" ? url({ topics: [], lastEventId: null, topicsAs }) : absolute(url).href;
  const sameOrigin = base !== null && absolute(name).origin === new URL(base).origin;
  const own = (lastEventId) => sameOrigin && lastEventId !== null && isHeader(lastEventId) ? { "Last-Event-ID": lastEventId } : {};
  return {
    transport,
    name,
    request: (wanted) => ({
      url: of(wanted),
      method: posts || wanted.asked.way === "poll" ? "POST" : "GET",
      body: posts ? ask(new URLSearchParams(), wanted) : null
    }),
    headers: (lastEventId, renew) => {
      const given = typeof headers === "function" ? headers({ renew }) : headers;
      if (!("then" in given)) return { ...own(lastEventId), ...given };
      return given.then((given2) => ({ ...own(lastEventId), ...given2 }));
    }
  };
}
function isHeader(value) {
  return /^[\x21-\x7e]+$/.test(value);
}

// src/wants.ts
var Wants = class {
  #topics = /* @__PURE__ */ new Map();
  /** Those of them that the stream must have by their names. */
  #exact = /* @__PURE__ */ new Map();
  #refused = /* @__PURE__ */ new Set();
  /** The oldest place that one of them needs everything from. */
  #needed = null;
  /** What the stream is to have. */
  get topics() {
    return union([...this.#topics.values()].flat(), [...this.#exact.values()].flat()).filter((topic) => !this.#refused.has(topic));
  }
  /** The oldest place since the last call. */
  takeNeeded() {
    const needed = this.#needed;
    this.#needed = null;
    return needed;
  }
  /** Whether this tab has said what it watches. */
  has(tab) {
    return this.#topics.has(tab);
  }
  /** Returns those of the topics that the tab did not watch before. */
  set(tab, topics, exact, from) {
    const before = this.#topics.get(tab);
    this.#topics.set(tab, topics);
    this.#exact.set(tab, exact);
    this.#needed = older(this.#needed, from);
    const added = topics.filter((topic) => !before?.includes(topic));
    for (const topic of added) this.#refused.delete(topic);
    return added;
  }
  delete(tab) {
    this.#exact.delete(tab);
    return this.#topics.delete(tab);
  }
  /** The server will not have these. */
  refuse(topics) {
    for (const topic of topics) this.#refused.add(topic);
  }
  forgive() {
    this.#refused.clear();
  }
  clear() {
    this.#topics.clear();
    this.#exact.clear();
    this.#needed = null;
  }
};

// src/ways.ts
var Ways = class {
  config;
  #ways;
  #now;
  #store;
  #key;
  /** The one that is asked for next. */
  #at = 0;
  /** The one that works while a lasting stream is tried again; 0: none. */
  #works = 0;
  /** When a lasting stream is tried again. */
  #due = 0;
  /** Until when there is no use in other ways. */
  #hopelessUntil = 0;
  /** `store` keeps the way that works for the next page of the same address. */
  constructor(config, now, store, url) {
    this.config = config;
    this.#ways = ["stream", ...config.fallback];
    this.#now = now;
    this.#store = store;
    this.#key = `sse-manager way ${url}`;
    this.#remember();
  }
  /** Whether it is looked for the first bytes, as another way could be taken. */
  get watches() {
    return this.#at > 0 || this.#ways.length > 1 && this.#now() >= this.#hopelessUntil;
  }
  next() {
    if (this.#at > 0 && this.#at === this.#works && this.#now() >= this.#due) this.#at = 0;
    const way = this.#ways[this.#at] ?? "stream";
    return { way, lifetime: way === "stream" ? 0 : this.config.lifetimes[way], trial: way === "stream" && this.#works > 0 };
  }
  /** Nothing came by this way, in time. */
  failed(way) {
    if (this.#ways[this.#at] !== way || !this.watches) return;
    if (this.#at === 0 && this.#works > 0) {
      this.#at = this.#works;
      this.#due = this.#now() + this.config.keep;
      return;
    }
    this.#at++;
    if (this.#at < this.#ways.length) return;
    this.#hopelessUntil = this.#now() + this.config.keep;
    this.#reset();
  }
  /** Something came by this way, and not before the end of the response. */
  works(way) {
    const at = this.#ways.indexOf(way);
    if (at <= 0) return this.#reset();
    if (this.#works === at) return;
    this.#at = this.#works = at;
    this.#due = this.#now() + this.config.keep;
    this.#save(`${way} ${this.#due}`);
  }
  /** A lasting stream is asked for next: responses are not held back, or the network is another one. */
  improve() {
    this.#at = 0;
    this.#due = this.#hopelessUntil = 0;
  }
  /** Another tab has found that this way works. */
  use(way) {
    if (this.#ways.indexOf(way) > 0) this.works(way);
  }
  #reset() {
    this.#at = this.#works = 0;
    this.#save(null);
  }
  #save(value) {
    try {
      if (value === null) this.#store?.removeItem(this.#key);
      else this.#store?.setItem(this.#key, value);
    } catch {
    }
  }
  /** Goes on with what an earlier page has found, for as long as that one would have. */
  #remember() {
    let [way, due] = [];
    try {
      ;
      [way, due] = this.#store?.getItem(this.#key)?.split(" ") ?? [];
    } catch {
      return;
    }
    const at = this.#ways.indexOf(way);
    if (at <= 0 || !(Number(due) > this.#now())) return;
    this.#at = this.#works = at;
    this.#due = Number(due);
  }
};

// src/manager.ts
var ROLL_CALL = 100;
var SSEManager = class {
  #config;
  #environment;
  #debug;
  #emitter = new Emitter(NAMES);
  #id;
  #connection;
  #ways;
  #inbox;
  #memory;
  #tabs;
  #wants = new Wants();
  #leavePage = null;
  #state = "idle";
  #way = "stream";
  #streamId = null;
  #refused = "";
  #asked = false;
  #away = false;
  #changing = false;
  /** Whether subscriptions were ended since the last change, and nothing else. */
  #onlyLess = true;
  #rollCall;
  constructor(config) {
    check(config);
    disposable(this, () => this.close());
    const { debug = false } = config;
    this.#debug = debug === true ? (what, details) => console.debug(`SSEManager: ${what}`, details) : debug || null;
    this.#config = config;
    this.#environment = { ...surroundings(), ...config.environment };
    this.#rollCall = new Timer(this.#environment);
    const { random, now, storage: storage2 } = this.#environment;
    this.#id = `${now().toString(36)}${random().toString(36).slice(2, 10)}`;
    const url = streamUrl(config, this.#environment);
    this.#memory = storage2 !== null && config.session !== void 0 && config.resume !== false ? new Memory(storage2, url.name, config.session) : null;
    this.#inbox = new Inbox(
      config.lastEventId || null,
      (gap) => this.#emitter.emit("gap", gap),
      (frame) => this.#emitter.emit("message", message(frame, frame.topics[0] ?? "", config.decode ?? "json")),
      (topics) => this.#emitter.emit("finished", { topics })
    );
    const transport = url.transport === "fetch" ? fetchTransport(this.#environment) : eventSourceTransport(this.#environment, config.eventTypes ?? []);
    this.#ways = new Ways(
      {
        // The browser's EventSource tells nothing of the first bytes, and can't post.
        fallback: url.transport === "fetch" ? config.fallback ?? ["short", "poll"] : [],
        firstBytesTimeout: config.firstBytesTimeout ?? 5e3,
        lifetimes: { short: config.shortLifetime ?? 5e3, poll: config.pollLifetime ?? 25e3 },
        keep: config.fallbackTime ?? 3e5
      },
      now,
      storage2,
      url.name
    );
    this.#connection = new Connection(
      {
        name: this.#id,
        transport: (request, listener) => {
          this.#debug?.("asks for a stream", request.url);
          return transport(request, listener);
        },
        request: url.request,
        ways: this.#ways,
        headers: url.headers,
        renewable: typeof config.headers === "function",
        withCredentials: config.withCredentials ?? false,
        retry: config.retry ?? 2e3,
        longestDelay: config.maxRetry ?? 6e4,
        // The browser's EventSource doesn't tell of heartbeats: its silence says nothing.
        heartbeatTimeout: url.transport === "fetch" ? config.heartbeatTimeout ?? null : 0,
        openTimeout: config.openTimeout ?? 3e4,
        steer: steerBy(config, this.#environment),
        environment: this.#environment
      },
      {
        opened: (link, topics, from, refused) => this.#tell({ say: "opened", link, topics, from, refused }),
        named: (stream) => this.#tell({ say: "named", stream }),
        changing: (link, topics) => this.#tell({ say: "changing", link, topics }),
        changed: (link, topics, place) => this.#tell({ say: "changed", link, topics, place }),
        received: (received) => this.#tell({ say: "received", received }),
        reconnecting: (failure, delay2) => this.#tell({ say: "reconnecting", failure, delay: delay2 }),
        failing: (topics, failure, delay2) => this.#tell({ say: "failing", topics, failure, delay: delay2 }),
        refused: (topics, failure) => this.#tell({ say: "refused", topics, failure }),
        comes: (way) => way !== this.#way && this.#tell({ say: "comes", way }),
        closed: (failure) => this.#tell({ say: "closed", failure })
      }
    );
    this.#tabs = config.session !== void 0 && config.share !== false ? Tabs.among(`${url.name} ${config.session}`, this.#id, config.workerUrl, this.#environment, {
      joined: () => this.#want(),
      lead: (alone) => this.#lead(alone),
      follow: () => this.#follow(),
      heard: (word) => this.#heard(word),
      alone: () => {
        this.#debug?.("can not share", `config.workerUrl: '${config.workerUrl}' could not be loaded as a shared worker`);
        this.#tabs = null;
        this.#want();
      }
    }) : null;
  }
  get state() {
    return this.#state;
  }
  /** Whether the connection is this tab's own. */
  get leads() {
    return this.#tabs === null || this.#tabs.leads;
  }
  /**
   * How events come: by a `stream`, or, where a proxy holds streams back, by `short` responses or by long-polls (`poll`).
   */
  get way() {
    return this.#way;
  }
  /**
   * The public id of the stream that this page reads, by which its requests name it; null while none is open, or if the server
   * doesn't tell it (`stream_id` of sse_stream()).
   */
  get streamId() {
    return this.#streamId;
  }
  /** The id of the last event that this page has; null before the first. */
  get lastEventId() {
    return this.#inbox.position;
  }
  subscribe(topic, handler, options = {}) {
    checkPattern(topic);
    if (handler !== void 0 && typeof handler !== "function") {
      throw new TypeError(`subscribe(): the handler of '${topic}' must be a function, ${handler === null ? "null" : typeof handler} given`);
    }
    const { decode = "json", lastEventId } = this.#config;
    const from = this.#asked ? null : lastEventId || (this.#memory?.position(topic) ?? null);
    const end = () => {
      subscriber.end();
      if (this.#inbox.remove(subscriber)) this.#change(true);
    };
    const subscriber = new Subscriber(topic, handler, decode, from, options, end);
    if (from !== null && this.#inbox.position === null) this.#inbox.resume(from);
    this.#inbox.subscribers.add(subscriber);
    this.#leavePage ??= this.#watchPage();
    this.#change();
    if (options.signal?.aborted) end();
    else options.signal?.addEventListener("abort", end, { once: true });
    return handle(subscriber, end);
  }
  /**
   * Who is on a topic, and who comes and goes; it watches the topic for that. The server tells it where `stream.php` sets the options
   * `presence` and `presence_events`.
   */
  presence(topic) {
    checkTopic(topic);
    const subscription = this.subscribe(topic, () => {
    });
    return presenceOf(this.#inbox.rooms, topic, subscription);
  }
  /** Listens to what happens to the connection; returns a function that ends that. */
  on(name, listener, options) {
    return this.#emitter.on(name, listener, options);
  }
  /** Listens for the first time that it happens. */
  once(name, listener) {
    return this.#emitter.on(name, listener, { once: true });
  }
  /** Publishes by POST to `publishUrl`, and resolves with what that answers. */
  send(topic, data, options = {}) {
    return publish(this.#config, this.#environment, topic, data, options);
  }
  /** Tries again at once: after `closed`, or in place of waiting. */
  connect() {
    this.#wants.forgive();
    if (this.leads) this.#watch(true);
    else this.#tabs?.say({ say: "again" });
  }
  /** Ends everything: subscriptions, listeners, connection. */
  close() {
    for (const subscriber of this.#inbox.subscribers) subscriber.end();
    this.#inbox.subscribers.clear();
    this.#memory?.save(null, []);
    this.#leave();
    this.#leavePage?.();
    this.#leavePage = null;
    if (this.#state === "closed") return;
    this.#become("closed");
    this.#emitter.emit("closed", { failure: null });
  }
  /** Several subscriptions made together are one change. */
  #change(less = false) {
    this.#onlyLess &&= less;
    if (this.#changing) return;
    this.#changing = true;
    queueMicrotask(() => {
      const onlyLess = this.#onlyLess;
      this.#changing = false;
      this.#onlyLess = true;
      if (this.#away) return;
      this.#asked ||= this.#inbox.subscribers.size > 0;
      if (this.#tabs === null || this.#tabs.joined) this.#want(onlyLess);
      else this.#tabs.join();
    });
  }
  /** Says what this tab watches. */
  #want(less = false) {
    const topics = this.#inbox.topics;
    const from = this.#inbox.hasBegun ? this.#inbox.position : null;
    if (this.#state === "idle" && topics.length > 0) this.#become("connecting");
    const anew = this.#config.retained === true && [...this.#inbox.subscribers].some(({ wantsStream }) => wantsStream);
    const word = { say: "want", tab: this.#id, topics, exact: this.#inbox.rooms.wanted, from, less, anew };
    if (this.leads) this.#wanted(word);
    else this.#tabs?.say(word);
  }
  /** A tab has said what it watches; this one has the connection. */
  #wanted({ tab, topics, exact, from, less, anew }) {
    const isNew = !this.#wants.has(tab);
    const added = this.#wants.set(tab, topics, exact, from);
    if (isNew && tab !== this.#id) this.#tabs?.outlive(tab, () => this.#unwanted(tab));
    if (this.#rollCall.runs || less && this.#state === "closed") return;
    this.#watch(false, anew);
    const state = this.#sayState();
    if (tab === this.#id) {
      if (this.#connection.link !== null) this.#learn(state);
      return;
    }
    const rooms = this.#inbox.rooms.among(added);
    if (rooms.length > 0) this.#tabs?.say({ say: "present", tab, rooms });
  }
  #unwanted(tab) {
    if (this.#wants.delete(tab)) this.#watch();
  }
  /** Has the connection read what all tabs watch. */
  #watch(again = false, anew = false) {
    if (this.#away || this.#rollCall.runs) return;
    const { topics } = this.#wants;
    const needed = this.#wants.takeNeeded();
    if (topics.length === 0) {
      this.#connection.watch([]);
      if (this.#state !== "closed") this.#become("idle");
      return;
    }
    if (this.#state === "idle" || this.#state === "closed") this.#become("connecting");
    this.#connection.watch(topics, needed, anew);
    if (again) this.#connection.poke();
  }
  /** This tab has the connection from now on. */
  #lead(alone) {
    this.#wants.clear();
    this.#ways.use(this.#way);
    if (!alone) {
      this.#rollCall.start(ROLL_CALL, () => this.#watch());
      this.#tabs?.say({ say: "hello" });
    }
    this.#want();
    this.#emitter.emit("leader", { leads: true });
  }
  /** Another tab has taken the connection. */
  #follow() {
    this.#rollCall.stop();
    this.#connection.close();
    this.#wants.clear();
    this.#emitter.emit("leader", { leads: false });
    this.#want();
  }
  #heard(word) {
    const leads = this.#tabs?.leads ?? false;
    switch (word.say) {
      case "want":
        if (leads) this.#wanted(word);
        break;
      case "bye":
        if (leads) this.#unwanted(word.tab);
        break;
      case "ping":
        if (leads) {
          this.#connection.poke();
          this.#sayState();
        }
        break;
      case "again":
        if (leads) this.connect();
        break;
      case "hello":
        if (!leads) this.#want();
        break;
      case "state":
        if (!leads) this.#learn(word);
        break;
      case "present":
        if (!leads && word.tab === this.#id) this.#inbox.rooms.learn(word.rooms);
        break;
      default:
        if (!leads) this.#apply(word);
    }
  }
  #sayState() {
    const link = this.#connection.link?.name ?? null;
    const word = {
      say: "state",
      state: this.#state,
      link,
      topics: this.#connection.topics,
      stream: this.#streamId,
      refused: this.#connection.link?.refused ?? null,
      way: this.#way,
      place: this.#connection.lastId,
      now: this.#connection.link?.ordered ? this.#inbox.position : null
    };
    this.#tabs?.say(word);
    return word;
  }
  /** How it is with the tab that has the connection. */
  #learn({ state, link, topics, stream, refused, way, place, now }) {
    this.#comes(way);
    if (link !== null) {
      const reads = this.#inbox.joined(link, topics, place, now);
      if (reads && allCovered(this.#inbox.topics, topics)) this.#opened(topics);
      if (reads && stream !== null) this.#named(stream);
      if (reads) this.#tellRefused(refused);
    } else if (state === "reconnecting" || state === "connecting") {
      this.#become(state);
    }
  }
  /** Tells this tab, and all others. */
  #tell(news) {
    if (news.say === "refused") this.#wants.refuse(news.topics);
    this.#tabs?.say(news);
    this.#apply(news);
  }
  #apply(news) {
    this.#debug?.(news.say, news);
    switch (news.say) {
      case "opened":
        if (!this.#inbox.opened(news.link, news.topics, news.from)) {
          this.#want();
          break;
        }
        this.#opened(news.topics);
        this.#tellRefused(news.refused);
        break;
      case "named":
        this.#named(news.stream);
        break;
      case "changing":
        this.#inbox.expect(news.link, news.topics);
        break;
      case "changed":
        if (this.#inbox.changed(news.link, news.topics, news.place) && allCovered(this.#inbox.topics, news.topics)) {
          this.#opened(news.topics);
        }
        break;
      case "received":
        this.#inbox.received(news.received);
        break;
      case "reconnecting":
        this.#become("reconnecting");
        this.#emitter.emit("reconnecting", { failure: news.failure, delay: news.delay });
        break;
      case "failing": {
        const own = this.#inbox.topics.filter((topic) => allCovered([topic], news.topics));
        if (own.length === 0) break;
        for (const subscriber of this.#inbox.subscribers) {
          if (allCovered([subscriber.pattern], own)) subscriber.fail(news.failure);
        }
        this.#emitter.emit("error", { topics: own, failure: news.failure, delay: news.delay });
        break;
      }
      case "refused": {
        const own = this.#inbox.topics.filter((topic) => allCovered([topic], news.topics));
        if (own.length === 0) break;
        const error = new Error(`${news.failure.message} to the topics ${own.join(", ")}`);
        for (const subscriber of this.#inbox.subscribers) {
          if (allCovered([subscriber.pattern], own)) subscriber.refuse(error, news.failure);
        }
        this.#emitter.emit("error", { topics: own, failure: news.failure, delay: null });
        break;
      }
      case "comes":
        this.#comes(news.way);
        break;
      case "closed":
        this.#become("closed");
        for (const subscriber of this.#inbox.subscribers) subscriber.refuse(new Error(news.failure.message), news.failure);
        if (isEnd(news.failure)) this.#tellFinished();
        this.#emitter.emit("closed", { failure: news.failure });
    }
  }
  /** Tells of the topics whose last events have not told it. */
  #tellFinished() {
    const topics = this.#inbox.unfinished;
    if (topics.length > 0) this.#emitter.emit("finished", { topics });
  }
  #comes(way) {
    if (this.#way === way) return;
    this.#way = way;
    if (way !== "stream") this.#streamId = null;
    if (way === "stream") this.#emitter.emit("restored", {});
    else this.#emitter.emit("degraded", { way });
  }
  #named(stream) {
    if (this.#streamId === stream) return;
    this.#streamId = stream;
    this.#emitter.emit("stream", { stream });
  }
  #tellRefused(header) {
    const refused = header ?? "";
    if (this.#refused === refused) return;
    this.#refused = refused;
    this.#emitter.emit("refused", parseRefused(refused));
  }
  #become(state) {
    this.#state = state;
    if (state !== "open") this.#streamId = null;
  }
  #opened(topics) {
    const wasOpen = this.#state === "open";
    this.#become("open");
    if (wasOpen) return;
    if (this.#environment.document?.visibilityState !== "hidden") this.#memory?.forget();
    this.#emitter.emit("open", { topics });
  }
  #watchPage() {
    const save = () => this.#memory?.save(this.#inbox.position, this.#inbox.topics);
    return watchPage(this.#environment, {
      away: () => {
        save();
        this.#leave();
        this.#away = true;
      },
      back: () => {
        this.#away = false;
        this.#change();
      },
      hidden: save,
      seen: () => {
        this.#memory?.forget();
        this.#connection.poke();
        this.#tabs?.ask();
      },
      // What was open may be dead, and nobody would tell.
      online: (again) => this.#connection.poke(again)
    });
  }
  #leave() {
    this.#rollCall.stop();
    this.#wants.clear();
    this.#inbox.left();
    this.#connection.close();
    this.#tabs?.leave();
    if (this.#state !== "closed") this.#become("idle");
  }
};
export {
  SSEManager,
  SendError,
  matches
};
//# sourceMappingURL=sse-manager.js.map
