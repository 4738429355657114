/*! SSEManager, the browser client of php-sse. MIT licence. Contains eventsource-parser, MIT, Espen Hovlandsdal. */

// src/config.ts
var NUMBERS = ["retry", "maxRetry", "heartbeatTimeout", "openTimeout"];
function check(config) {
  const { url, transport, headers, session } = config;
  const wrong = (what) => {
    throw new TypeError(`SSEManager: ${what}`);
  };
  if (typeof url !== "function" && (typeof url !== "string" || url === "")) {
    wrong(`config.url must be the address of a stream or a function, ${typeof url} given`);
  }
  if (transport !== void 0 && transport !== "fetch" && transport !== "eventsource") {
    wrong(`config.transport must be 'fetch' or 'eventsource', '${String(transport)}' given`);
  }
  if (transport === "eventsource" && headers !== void 0) {
    wrong("config.headers can't be sent by transport 'eventsource'; leave the transport out");
  }
  if (session !== void 0 && typeof session !== "string") {
    wrong(`config.session must be a string, such as the user's id, ${typeof session} given`);
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
var PLACE = 1e3;
var Connection = class {
  #config;
  #listener;
  #wanted = [];
  #current = null;
  #next = null;
  /** The topics of the last stream that was opened. */
  #accepted = [];
  #lastId = null;
  /** A place before `#lastId` that somebody needs all events from, until they have come. */
  #needed = null;
  #retry;
  #failures = 0;
  #links = 0;
  #timer;
  /** When the next attempt is due, and the time before which the server doesn't want it. */
  #due = 0;
  #notBefore = 0;
  #watchdog;
  #over = false;
  constructor(config, listener) {
    this.#config = config;
    this.#listener = listener;
    this.#retry = config.retry;
    this.#timer = new Timer(config.environment);
    this.#watchdog = new Timer(config.environment);
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
   * are needed, however far the connection is.
   */
  watch(topics, from = null) {
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
    if (reading !== null && allCovered(topics, reading.topics)) {
      if (reading.opened === null ? this.#reaches(reading) : !behind) return;
    }
    if (reading === null && this.#timer.runs) return;
    this.#connect();
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
    this.#timer.stop();
    this.#next?.stop();
    this.#current?.stop();
    this.#next = this.#current = null;
    this.#failures = 0;
    this.#watchdog.stop();
  }
  /**
   * Time may have passed unnoticed (sleep, a throttled tab), or the network may have come back: looks whether the stream
   * still lives, and doesn't wait any longer for the next attempt. With `renew`, an open stream is replaced.
   */
  poke(renew = false) {
    if (this.#over) return;
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
    const current = this.#current;
    if (current !== null && !current.begun && this.#lastId === null) {
      this.#due = this.#config.environment.now() + PLACE;
      this.#timer.start(PLACE, () => {
        current.begun = true;
        this.#connect();
      });
      return;
    }
    this.#next?.stop();
    const { environment } = this.#config;
    const from = this.#from();
    const link = {
      name: `${this.#config.name}.${++this.#links}`,
      topics: [...this.#wanted],
      from,
      stop: () => {
      },
      alive: environment.now(),
      opened: null,
      begun: false,
      ordered: false
    };
    this.#next = link;
    this.#guard();
    const begin = (headers) => {
      if (this.#next !== link) return;
      const request = { url: this.#config.url(link.topics, from), headers, withCredentials: this.#config.withCredentials };
      link.stop = this.#config.transport(request, {
        open: () => this.#opened(link),
        alive: () => {
          link.alive = environment.now();
        },
        frame: (frame) => this.#received(link, frame),
        retry: (milliseconds) => {
          this.#retry = milliseconds;
        },
        fail: (failure) => this.#failed(link, failure)
      });
    };
    try {
      const headers = this.#config.headers(from);
      if (!("then" in headers)) return begin(headers);
      headers.then(begin).catch((error) => this.#failed(link, broken(error)));
    } catch (error) {
      this.#failed(link, broken(error));
    }
  }
  #opened(link) {
    if (link !== this.#next) return;
    link.alive = link.opened = this.#config.environment.now();
    this.#current?.stop();
    this.#current = link;
    this.#next = null;
    this.#accepted = link.topics;
    this.#lastId = link.from;
    this.#listener.opened(link.name, link.topics, link.from);
    if (!this.#over && !allCovered(this.#wanted, link.topics)) this.#connect();
  }
  #received(link, frame) {
    if (link !== this.#current) return;
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
    const first = !link.begun;
    link.begun = true;
    this.#listener.received({ frame, link: link.name, ordered: link.ordered });
    if (first && this.#timer.runs && link === this.#current) this.#connect();
  }
  #failed(link, failure) {
    if (link !== this.#current && link !== this.#next) return;
    link.stop();
    const { now, random } = this.#config.environment;
    if (link.opened !== null && now() - link.opened >= this.#retry) this.#failures = 0;
    if (link === this.#current) this.#current = null;
    else this.#next = null;
    if (failure.final) {
      this.#final(link, failure);
      return;
    }
    if (this.#next !== null) return;
    const wait = failure.reason === "silent" ? this.#retry * 0.5 * random() : delay(this.#retry, this.#failures, this.#config.longestDelay, random, failure);
    this.#failures++;
    this.#notBefore = now() + (failure.retryAfter ?? 0);
    this.#wait(wait);
    if (this.#current === null) this.#listener.reconnecting(failure, wait);
  }
  /** The server doesn't want to be asked again: for what is new in the request, or at all. */
  #final(link, failure) {
    const fresh = link.topics.filter((topic) => !allCovered([topic], this.#accepted));
    if (link.opened === null && this.#accepted.length > 0 && fresh.length > 0) {
      this.#wanted = this.#wanted.filter((topic) => !fresh.includes(topic));
      this.#listener.refused(fresh, failure);
      if (this.#current === null && this.#wanted.length > 0) this.#connect();
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
  #guard() {
    if (this.#watchdog.runs) return;
    const { heartbeatTimeout, openTimeout } = this.#config;
    const often = Math.max(50, Math.min(heartbeatTimeout || openTimeout, openTimeout) / 4);
    this.#watchdog.start(often, () => {
      this.#guard();
      this.#look();
    });
  }
  #look() {
    const { heartbeatTimeout, openTimeout, environment } = this.#config;
    const now = environment.now();
    const { link, late } = [
      { link: this.#next, late: openTimeout },
      { link: this.#current, late: heartbeatTimeout }
    ].find(({ link: link2, late: late2 }) => link2 !== null && late2 > 0 && now - link2.alive > late2) ?? {};
    if (link) {
      const message2 = `nothing came from the server for ${late} ms`;
      this.#failed(link, { reason: link.opened === null ? "network" : "silent", message: message2, final: false });
    } else if (this.#timer.runs && now >= this.#due) {
      if (this.#current !== null) this.#current.begun = true;
      this.#connect();
    }
  }
};
function broken(error) {
  return { reason: "network", message: `the headers could not be made: ${String(error)}`, final: false };
}

// src/emitter.ts
var Emitter = class {
  #listeners = /* @__PURE__ */ new Map();
  /** Calls the listener each time; what it returns takes it off again. */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? /* @__PURE__ */ new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => void listeners.delete(listener);
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

// src/eventsource-transport.ts
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
      listener.frame({ kind: "event", id, type: event.type, data: event.data, topics: [] });
    };
    source.onopen = () => listener.open();
    for (const type of /* @__PURE__ */ new Set(["message", "gap", ...types])) source.addEventListener(type, received);
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
  const { cursor, reached, topics, event, data: inner } = content;
  if (typeof cursor === "string") return { kind: "cursor", id: cursor };
  if (typeof reached === "string") return { kind: "reached", id: reached };
  if (!Array.isArray(topics) || typeof inner !== "string") return null;
  const type = typeof event === "string" ? event : "message";
  return { kind: "event", id: id === "" ? null : id, type, data: inner, topics: topics.map(String) };
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

// src/failure.ts
var PASSING = /* @__PURE__ */ new Set([408, 425, 429]);
function ofStatus(status, retryAfter, now) {
  const final = status === 204 || status === 205 || status >= 400 && status < 500 && !PASSING.has(status);
  const message2 = `the server answered ${status}`;
  const delay2 = retryAfter === null ? null : parseRetryAfter(retryAfter, now);
  return { reason: "status", message: message2, status, final, ...delay2 !== null && { retryAfter: delay2 } };
}
function parseRetryAfter(value, now) {
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1e3;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
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
      listener.open();
      await parse2(response.body);
      fail({ reason: "ended", message: "the server ended the stream", final: false });
    };
    const parse2 = async (body) => {
      let topics = [];
      const parser = createParser({
        onEvent: ({ id, event, data }) => {
          if (abort.signal.aborted) return;
          const of = topics;
          topics = [];
          listener.frame({ kind: "event", id: id ?? null, type: event ?? "message", data, topics: of });
        },
        onRetry: (milliseconds) => listener.retry(milliseconds),
        // "Otherwise: The field is ignored", and so it is by every other client.
        onError: ({ type, field, value = "" }) => {
          if (type !== "unknown-field" || abort.signal.aborted) return;
          if (field === "topic") topics.push(value);
          if (field === "cursor" || field === "reached") listener.frame({ kind: field, id: value });
        }
      });
      const decoder = new TextDecoder();
      const reader = body.getReader();
      for (; ; ) {
        const { done, value } = await reader.read();
        if (done || abort.signal.aborted) return;
        listener.alive();
        parser.feed(decoder.decode(value, { stream: true }));
      }
    };
    read().catch((error) => {
      fail({ reason: "network", message: `the connection failed: ${String(error)}`, final: false });
    });
    return () => abort.abort();
  };
}

// src/inbox.ts
var REMEMBERED = 1e3;
var Inbox = class {
  subscribers = /* @__PURE__ */ new Set();
  /** The newest place up to which this tab has everything. */
  #position;
  /** The stream that this tab reads: one that began, or was joined, where the tab was. */
  #reads = null;
  /** Events by publishers' own ids, and the stream that brought each. */
  #remembered = /* @__PURE__ */ new Map();
  #gap;
  #message;
  constructor(position, gap, message2) {
    this.#position = position;
    this.#gap = gap;
    this.#message = message2;
  }
  get position() {
    return this.#position;
  }
  /** What all subscriptions watch, without what another pattern covers. */
  get topics() {
    return union([...this.subscribers].map(({ pattern }) => pattern));
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
    for (const subscriber of this.subscribers) {
      if (allCovered([subscriber.pattern], topics)) subscriber.opened(link);
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
      subscriber.opened(link);
      subscriber.begin(now);
    }
    return true;
  }
  /** This tab hears nothing any more, until it joins again. */
  left() {
    this.#reads = null;
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
    } else if (isGap(frame)) {
      this.#tellGap(frame);
    } else {
      this.#advance(frame.id);
      if (frame.id !== null && !(ordered && isOrdered(frame.id)) && this.#cameBefore(frame, frame.id, link)) return;
      this.#message(frame);
      for (const subscriber of [...this.subscribers]) subscriber.offer(frame, received);
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
function union(patterns) {
  const all = [...new Set(patterns)].sort();
  return all.filter((pattern) => !all.some((other) => other !== pattern && allCovered([pattern], [other])));
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
  const { type, topics, data: text, id } = frame;
  const told = { topic, topics, type, text, id: id ?? "" };
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
  const { publishUrl, headers = {}, withCredentials } = config;
  if (publishUrl === void 0) throw new TypeError("send(): config.publishUrl is not set; it names the script to post to");
  if (fetch === null) throw new TypeError("send(): this runtime has no fetch()");
  const given = typeof headers === "function" ? await headers() : headers;
  const response = await fetch(publishUrl, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", ...given, ...more },
    credentials: withCredentials ? "include" : "same-origin",
    body: JSON.stringify({ topic, data, ...event !== void 0 && { event }, ...id !== void 0 && { id } }),
    ...signal && { signal }
  });
  const body = await response.text();
  if (!response.ok) throw new SendError(response.status, body);
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}

// src/subscription.ts
var MAX_WAITING = 1e4;
var Subscriber = class {
  pattern;
  ready;
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
  #ended = false;
  #overflown = false;
  constructor(pattern, handler, decode, from) {
    this.pattern = pattern;
    this.#handler = handler;
    this.#decode = decode;
    this.ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
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
  /** A stream that has its topic is open. */
  opened(link) {
    this.#link = link;
    this.#settle.resolve();
  }
  /** The hub's newest event when the stream began. */
  cursor(id, link) {
    if (this.#link === link) this.begin(id);
  }
  offer(frame, { link, ordered }) {
    if (this.#ended) return;
    const topic = frame.topics.length === 0 ? "" : frame.topics.find((topic2) => matches(this.pattern, topic2));
    if (topic === void 0) return;
    if (this.#began === null && this.#link === link) this.begin(null);
    if (this.#began === null || ordered && this.#isPast(frame.id, link)) return;
    this.#deliver(message(frame, topic, this.#decode));
  }
  end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#settle.reject(error ?? new Error(`the subscription of '${this.pattern}' was ended`));
    for (const { resolve } of this.#wanting) resolve({ done: true, value: void 0 });
    this.#wanting = [];
  }
  refuse(error) {
    this.#settle.reject(error);
  }
  next() {
    const first = this.#waiting.shift();
    if (first !== void 0) return Promise.resolve({ done: false, value: first });
    if (this.#overflown) {
      this.end();
      const error = `more than ${MAX_WAITING} events of '${this.pattern}' waited for the iterator, and were dropped`;
      return Promise.reject(new Error(error));
    }
    if (this.#ended) return Promise.resolve({ done: true, value: void 0 });
    return new Promise((resolve, reject) => this.#wanting.push({ resolve, reject }));
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

// src/tabs.ts
var Tabs = class _Tabs {
  #name;
  #id;
  #locks;
  #Channel;
  #listener;
  #channel = null;
  /** Ends the wait for the lock, or lets it go. */
  #let = null;
  /** Ends all waits. */
  #away = null;
  #leads = false;
  /** Counts joins, so that what an earlier one waited for is not taken for this one's. */
  #turn = 0;
  /** Null where this runtime can't share. */
  static among(name, id, environment, listener) {
    const { locks, BroadcastChannel } = environment;
    return locks === null || BroadcastChannel === null ? null : new _Tabs(name, id, locks, BroadcastChannel, listener);
  }
  constructor(name, id, locks, Channel, listener) {
    this.#name = `sse-manager ${name}`;
    this.#id = id;
    this.#locks = locks;
    this.#Channel = Channel;
    this.#listener = listener;
  }
  get leads() {
    return this.#leads;
  }
  join() {
    const turn = ++this.#turn;
    this.#channel = new this.#Channel(this.#name);
    this.#channel.onmessage = ({ data }) => {
      if (turn === this.#turn) this.#listener.heard(data);
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
      this.#leads = true;
      this.#listener.lead(alone);
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
    this.#locks.request(`${this.#name} ${this.#id}`, { signal: away.signal }, alive).catch(() => {
    });
  }
  /** Waits for the lock. */
  #queue = () => {
  };
  /** Takes the connection from a tab that doesn't answer: it may be frozen. */
  steal() {
    const turn = this.#turn;
    if (this.#leads || this.#channel === null) return;
    this.#hold(turn, { steal: true }, () => {
      if (turn !== this.#turn) return void 0;
      this.#leads = true;
      this.#listener.lead(false);
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
  const { url, headers = {} } = config;
  const { base, fetch } = environment;
  const transport = config.transport ?? (fetch === null || typeof ReadableStream === "undefined" ? "eventsource" : "fetch");
  const topicsAs = transport === "fetch" ? "field" : "envelope";
  const absolute = (address) => new URL(address, base ?? void 0);
  const of = (topics, lastEventId) => {
    if (typeof url === "function") return url({ topics, lastEventId, topicsAs });
    const address = absolute(url);
    address.searchParams.set("topics", topics.join(","));
    address.searchParams.set("topicsAs", topicsAs);
    if (lastEventId !== null) address.searchParams.set("lastEventId", lastEventId);
    return address.href;
  };
  const name = typeof url === "function" ? of([], null) : absolute(url).href;
  const sameOrigin = base !== null && absolute(name).origin === new URL(base).origin;
  const own = (lastEventId) => sameOrigin && lastEventId !== null && isHeader(lastEventId) ? { "Last-Event-ID": lastEventId } : {};
  return {
    transport,
    name,
    of,
    headers: (lastEventId) => {
      const given = typeof headers === "function" ? headers() : headers;
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
  #refused = /* @__PURE__ */ new Set();
  /** The oldest place that one of them needs everything from. */
  #needed = null;
  /** What the stream is to have. */
  get topics() {
    return union([...this.#topics.values()].flat()).filter((topic) => !this.#refused.has(topic));
  }
  /** The oldest place since the last call. */
  takeNeeded() {
    const needed = this.#needed;
    this.#needed = null;
    return needed;
  }
  /** True for a tab that was not known. */
  set(tab, topics, from) {
    const before = this.#topics.get(tab);
    this.#topics.set(tab, topics);
    this.#needed = older(this.#needed, from);
    for (const topic of topics) {
      if (!before?.includes(topic)) this.#refused.delete(topic);
    }
    return before === void 0;
  }
  delete(tab) {
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
    this.#needed = null;
  }
};

// src/manager.ts
var ROLL_CALL = 100;
var LOOK_AFTER = 2e4;
var ANSWER = 5e3;
var SSEManager = class {
  #config;
  #environment;
  #emitter = new Emitter();
  #id;
  #connection;
  #inbox;
  #memory;
  #tabs;
  #wants = new Wants();
  #leavePage = null;
  #state = "idle";
  #asked = false;
  #joined = false;
  #away = false;
  #changing = false;
  #rollCall;
  #lookAfter;
  #answer;
  constructor(config) {
    check(config);
    this.#config = config;
    this.#environment = { ...surroundings(), ...config.environment };
    this.#rollCall = new Timer(this.#environment);
    this.#lookAfter = new Timer(this.#environment);
    this.#answer = new Timer(this.#environment);
    const { random, now, storage: storage2 } = this.#environment;
    this.#id = `${now().toString(36)}${random().toString(36).slice(2, 10)}`;
    const url = streamUrl(config, this.#environment);
    this.#memory = storage2 !== null && config.session !== void 0 && config.resume !== false ? new Memory(storage2, url.name, config.session) : null;
    this.#inbox = new Inbox(
      config.lastEventId || null,
      (gap) => this.#emitter.emit("gap", gap),
      (frame) => this.#emitter.emit("message", message(frame, frame.topics[0] ?? "", config.decode ?? "json"))
    );
    this.#connection = new Connection(
      {
        name: this.#id,
        transport: url.transport === "fetch" ? fetchTransport(this.#environment) : eventSourceTransport(this.#environment, config.eventTypes ?? []),
        url: url.of,
        headers: url.headers,
        withCredentials: config.withCredentials ?? false,
        retry: config.retry ?? 2e3,
        longestDelay: config.maxRetry ?? 6e4,
        // The browser's EventSource doesn't tell of heartbeats: its silence says nothing.
        heartbeatTimeout: url.transport === "fetch" ? config.heartbeatTimeout ?? 45e3 : 0,
        openTimeout: config.openTimeout ?? 3e4,
        environment: this.#environment
      },
      {
        opened: (link, topics, from) => this.#tell({ say: "opened", link, topics, from }),
        received: (received) => this.#tell({ say: "received", received }),
        reconnecting: (failure, delay2) => this.#tell({ say: "reconnecting", failure, delay: delay2 }),
        refused: (topics, failure) => this.#tell({ say: "refused", topics, failure }),
        closed: (failure) => this.#tell({ say: "closed", failure })
      }
    );
    this.#tabs = config.session !== void 0 && config.share !== false ? Tabs.among(`${url.name} ${config.session}`, this.#id, this.#environment, {
      joined: () => this.#want(),
      lead: (alone) => this.#lead(alone),
      follow: () => this.#follow(),
      heard: (word) => this.#heard(word)
    }) : null;
  }
  get state() {
    return this.#state;
  }
  /** Whether the connection is this tab's own. */
  get leads() {
    return this.#tabs === null || this.#tabs.leads;
  }
  /** The id of the last event that this page has; null before the first. */
  get lastEventId() {
    return this.#inbox.position;
  }
  /**
   * Watches a topic, or all that match a pattern (`orders.*`, `chat.**`). Call what it returns to end that, or read it by
   * `for await`.
   */
  subscribe(topic, handler) {
    checkPattern(topic);
    const { decode = "json", lastEventId } = this.#config;
    const from = this.#asked ? null : lastEventId || (this.#memory?.position(topic) ?? null);
    const subscriber = new Subscriber(topic, handler, decode, from);
    if (from !== null && this.#inbox.position === null) this.#inbox.resume(from);
    this.#inbox.subscribers.add(subscriber);
    this.#leavePage ??= this.#watchPage();
    this.#change();
    const end = () => {
      subscriber.end();
      if (this.#inbox.remove(subscriber)) this.#change();
    };
    const iterator = () => ({
      next: () => subscriber.next(),
      return: () => {
        end();
        return Promise.resolve({ done: true, value: void 0 });
      }
    });
    return Object.assign(end, { topic, ready: subscriber.ready, [Symbol.asyncIterator]: iterator });
  }
  /** Listens to what happens to the connection; returns a function that ends that. */
  on(name, listener) {
    return this.#emitter.on(name, listener);
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
    this.#state = "closed";
    this.#emitter.emit("closed", { failure: null });
  }
  /** Several subscriptions made together are one change. */
  #change() {
    if (this.#changing) return;
    this.#changing = true;
    queueMicrotask(() => {
      this.#changing = false;
      if (this.#away || this.#state === "closed" && this.#inbox.subscribers.size === 0) return;
      this.#asked ||= this.#inbox.subscribers.size > 0;
      if (this.#tabs === null) this.#want();
      else if (this.#joined) this.#want();
      else {
        this.#joined = true;
        this.#tabs.join();
        this.#watchOver();
      }
    });
  }
  /** Says what this tab watches. */
  #want() {
    const topics = this.#inbox.topics;
    const from = this.#inbox.hasBegun ? this.#inbox.position : null;
    if (this.#state === "idle" && topics.length > 0) this.#state = "connecting";
    const word = { say: "want", tab: this.#id, topics, from };
    if (this.leads) this.#wanted(word);
    else this.#tabs?.say(word);
  }
  /** A tab has said what it watches; this one has the connection. */
  #wanted({ tab, topics, from }) {
    if (this.#wants.set(tab, topics, from) && tab !== this.#id) this.#tabs?.outlive(tab, () => this.#unwanted(tab));
    if (this.#rollCall.runs) return;
    this.#watch();
    this.#sayState();
  }
  #unwanted(tab) {
    if (this.#wants.delete(tab)) this.#watch();
  }
  /** Has the connection read what all tabs watch. */
  #watch(again = false) {
    if (this.#away || this.#rollCall.runs) return;
    const { topics } = this.#wants;
    const needed = this.#wants.takeNeeded();
    if (topics.length === 0) {
      this.#connection.watch([]);
      if (this.#state !== "closed") this.#state = "idle";
      return;
    }
    if (this.#state === "idle" || this.#state === "closed") this.#state = "connecting";
    this.#connection.watch(topics, needed);
    if (again) this.#connection.poke();
  }
  /** This tab has the connection from now on. */
  #lead(alone) {
    this.#answer.stop();
    this.#wants.clear();
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
        this.#answer.stop();
        if (!leads) this.#learn(word);
        break;
      default:
        this.#answer.stop();
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
      place: this.#connection.lastId,
      now: this.#connection.link?.ordered ? this.#inbox.position : null
    };
    this.#tabs?.say(word);
  }
  /** How it is with the tab that has the connection. */
  #learn({ state, link, topics, place, now }) {
    if (link !== null) {
      const reads = this.#inbox.joined(link, topics, place, now);
      if (reads && allCovered(this.#inbox.topics, topics)) this.#opened(topics);
    } else if (state === "reconnecting" || state === "connecting") {
      this.#state = state;
    }
  }
  /** Tells this tab, and all others. */
  #tell(news) {
    if (news.say === "refused") this.#wants.refuse(news.topics);
    this.#tabs?.say(news);
    this.#apply(news);
  }
  #apply(news) {
    switch (news.say) {
      case "opened":
        if (this.#inbox.opened(news.link, news.topics, news.from)) this.#opened(news.topics);
        else this.#want();
        break;
      case "received":
        this.#inbox.received(news.received);
        break;
      case "reconnecting":
        this.#state = "reconnecting";
        this.#emitter.emit("reconnecting", { failure: news.failure, delay: news.delay });
        break;
      case "refused": {
        const own = this.#inbox.topics.filter((topic) => allCovered([topic], news.topics));
        if (own.length === 0) break;
        const error = new Error(`${news.failure.message} to the topics ${own.join(", ")}`);
        for (const subscriber of this.#inbox.subscribers) {
          if (allCovered([subscriber.pattern], own)) subscriber.refuse(error);
        }
        this.#emitter.emit("error", { topics: own, failure: news.failure });
        break;
      }
      case "closed":
        this.#state = "closed";
        for (const subscriber of this.#inbox.subscribers) subscriber.refuse(new Error(news.failure.message));
        this.#emitter.emit("closed", { failure: news.failure });
    }
  }
  #opened(topics) {
    const wasOpen = this.#state === "open";
    this.#state = "open";
    if (!wasOpen) this.#emitter.emit("open", { topics });
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
        this.#connection.poke();
        this.#ask();
      },
      // What was open may be dead, and nobody would tell.
      online: (again) => this.#connection.poke(again)
    });
  }
  #leave() {
    this.#rollCall.stop();
    this.#lookAfter.stop();
    this.#answer.stop();
    this.#joined = false;
    this.#wants.clear();
    this.#inbox.left();
    this.#connection.close();
    this.#tabs?.leave();
    if (this.#state !== "closed") this.#state = "idle";
  }
  /** Looks from time to time whether the tab with the connection is alive: it may be frozen, and hold its lock. */
  #watchOver() {
    this.#lookAfter.start(LOOK_AFTER, () => {
      this.#watchOver();
      if (this.#environment.document?.visibilityState !== "hidden") this.#ask();
    });
  }
  #ask() {
    const tabs = this.#tabs;
    if (tabs === null || tabs.leads || !this.#joined || this.#answer.runs) return;
    tabs.say({ say: "ping" });
    this.#answer.start(ANSWER, () => tabs.steal());
  }
};
export {
  SSEManager,
  SendError,
  matches
};
