/*! SSEManager, the browser client of php-sse. MIT licence. Contains eventsource-parser, MIT, Espen Hovlandsdal. */

// src/emitter.ts
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

// src/echo/channel.ts
var SseChannel = class {
  name;
  host;
  manager = null;
  #listeners = /* @__PURE__ */ new Map();
  #toAll = /* @__PURE__ */ new Set();
  #succeeded = /* @__PURE__ */ new Set();
  #failed = /* @__PURE__ */ new Set();
  #subscription = null;
  #subscribed = false;
  #lost = false;
  /** Who reads the subscription: another channel of this name, once this one was left. */
  #reader = { channel: this };
  constructor(host, name) {
    this.host = host;
    this.name = name;
  }
  /** Calls the listener for each event of this name: in the namespace, or as it is where it begins with a dot. */
  listen(event, listener) {
    return this.on(this.#format(event), listener);
  }
  stopListening(event, listener) {
    const type = this.#format(event);
    if (listener === void 0) this.#listeners.delete(type);
    else this.#listeners.get(type)?.delete(listener);
    return this;
  }
  /** Calls the listener for all events, with the name as `listen()` takes it. */
  listenToAll(listener) {
    this.#toAll.add(listener);
    return this;
  }
  stopListeningToAll(listener) {
    if (listener === void 0) this.#toAll.clear();
    else this.#toAll.delete(listener);
    return this;
  }
  notification(listener) {
    return this.listen(NOTIFICATION, listener);
  }
  stopListeningForNotification(listener) {
    return this.stopListening(NOTIFICATION, listener);
  }
  listenForWhisper(event, listener) {
    return this.listen(`.${WHISPER}${event}`, listener);
  }
  stopListeningForWhisper(event, listener) {
    return this.stopListening(`.${WHISPER}${event}`, listener);
  }
  /** Calls the listener when the stream has the channel, at once where it has it. */
  subscribed(listener) {
    this.#succeeded.add(listener);
    if (this.#subscribed) guarded(listener);
    return this;
  }
  /** Calls the listener when the server refuses the channel, or a whisper. */
  error(listener) {
    this.#failed.add(listener);
    return this;
  }
  /** Calls the listener for each event whose type is exactly this. */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? /* @__PURE__ */ new Set();
    listeners.add(listener);
    this.#listeners.set(type, listeners);
    return this;
  }
  /** @internal The server allows the channel: its events come on this topic. */
  begin(manager, topic) {
    this.manager = manager;
    const reader = this.#reader;
    this.#subscription = manager.subscribe(topic, (message) => reader.channel?.take(message));
    this.#await();
  }
  #await() {
    const { manager } = this;
    const subscription = this.#subscription;
    const succeed = () => {
      if (this.#subscription === subscription) this.#succeed();
    };
    subscription?.ready.then(
      // Who has a channel may send at once, and be left out: the stream's id comes first, but after the response's headers.
      () => {
        if (manager === null || manager.streamId !== null) succeed();
        else manager.once("stream", succeed);
      },
      // What the server says to it comes by the manager's events.
      () => {
      }
    );
  }
  /** @internal */
  get topic() {
    return this.#subscription?.topic ?? null;
  }
  /** @internal Whether its stream brings it. */
  get isUp() {
    return this.#subscription !== null && !this.#lost;
  }
  /** @internal It is left, but may be taken again at once: see `adopt`. */
  pause() {
    this.#reader.channel = null;
    this.#subscribed = false;
  }
  /** @internal Goes on where one of this name was that has just been left. */
  adopt(left) {
    this.manager = left.manager;
    this.#subscription = left.#subscription;
    left.#subscription = null;
    this.#reader = left.#reader;
    this.#reader.channel = this;
    this.#await();
  }
  /** @internal Whether it is one of this stream's. */
  isOf(manager) {
    return this.manager === manager && this.#subscription !== null;
  }
  /** @internal Whether the server has refused it since it began. */
  get isLost() {
    return this.#lost;
  }
  /** @internal The server allows it again. */
  regain() {
    if (!this.#lost) return;
    this.#lost = false;
    this.#succeed();
  }
  /** @internal The channel is not there, or no longer; with `lost` it may come back by its stream. */
  fail(error, lost = false) {
    this.#subscribed = false;
    this.#lost = lost;
    this.tell(error);
  }
  tell(error) {
    for (const listener of [...this.#failed]) guarded(() => listener(error));
  }
  /** Ends it. */
  unsubscribe() {
    this.#subscribed = this.#lost = false;
    this.#subscription?.();
    this.#subscription = null;
  }
  #succeed() {
    this.#subscribed = true;
    for (const listener of [...this.#succeeded]) guarded(listener);
  }
  take({ type, data: published }) {
    const { data, isOwn } = type.startsWith(WHISPER) ? { data: published, isOwn: false } : ofPage(published, this.host.mark);
    if (isOwn) return;
    for (const listener of [...this.#listeners.get(type) ?? []]) guarded(() => listener(data));
    for (const listener of [...this.#toAll]) guarded(() => listener(this.#short(type), data));
  }
  /** `OrderPaid` is `App\Events\OrderPaid`; `.order.paid` and `\Other\Event` are whole names. */
  #format(event) {
    if (event.startsWith(".") || event.startsWith("\\")) return event.slice(1);
    const { namespace } = this.host;
    return (namespace ? `${namespace}.${event}` : event).replaceAll(".", "\\");
  }
  #short(type) {
    const { namespace } = this.host;
    const prefix = namespace ? `${namespace.replaceAll(".", "\\")}\\` : "";
    return prefix !== "" && type.startsWith(prefix) ? type.slice(prefix.length) : `.${type}`;
  }
};
function ofPage(published, mark) {
  if (typeof published !== "object" || published === null || !("socket" in published)) return { data: published, isOwn: false };
  const { socket, ...data } = published;
  return typeof socket === "string" && /^[a-f\d]{16}$/.test(socket) ? { data, isOwn: socket === mark } : { data: published, isOwn: false };
}
var WHISPER = "client-";
var NOTIFICATION = ".Illuminate\\Notifications\\Events\\BroadcastNotificationCreated";
var SsePrivateChannel = class extends SseChannel {
  /** Tells the other clients of the channel something, past the application. */
  whisper(event, data) {
    const socket = this.manager?.streamId;
    const whisper = { channel: this.name, event: `${WHISPER}${event}`, data };
    const failed = (error, status) => this.tell({ type: "WhisperError", error, ...status !== void 0 && { status } });
    this.host.requests.post("whisper", whisper, socket ? { "X-Socket-ID": socket } : {}).then(
      ({ ok, status }) => {
        if (!ok) failed(`the server answered ${status} to a whisper`, status);
      },
      (error) => failed(String(error))
    );
    return this;
  }
};
var MOST_PAGES = 100;
var SsePresenceChannel = class extends SsePrivateChannel {
  #here = /* @__PURE__ */ new Set();
  #joining = /* @__PURE__ */ new Set();
  #leaving = /* @__PURE__ */ new Set();
  #presence = null;
  /** By id; null before the first list. */
  #members = null;
  /** What has come while the rest of a list is asked for. */
  #waiting = null;
  /** Calls the listener with all members, once they are known: at once where they are. */
  here(listener) {
    this.#here.add(listener);
    const members = this.#members;
    if (members !== null) guarded(() => listener([...members.values()]));
    return this;
  }
  joining(listener) {
    this.#joining.add(listener);
    return this;
  }
  leaving(listener) {
    this.#leaving.add(listener);
    return this;
  }
  /** @internal */
  begin(manager, topic) {
    super.begin(manager, topic);
    this.#watch(manager, topic);
  }
  /** @internal */
  pause() {
    super.pause();
    for (const listeners of [this.#here, this.#joining, this.#leaving]) listeners.clear();
  }
  /** @internal */
  adopt(left) {
    super.adopt(left);
    if (this.manager !== null && this.topic !== null) this.#watch(this.manager, this.topic);
  }
  #watch(manager, topic) {
    const presence = manager.presence(topic);
    this.#presence = presence;
    presence.on("list", ({ members, more }) => this.#in(() => more ? this.#askAll(presence, members) : this.#all(members)));
    presence.on("join", ({ members }) => this.#in(() => this.#come(members)));
    presence.on("leave", ({ members }) => this.#in(() => this.#go(members)));
    if (presence.list.length > 0) this.#all(presence.list);
  }
  unsubscribe() {
    this.#presence?.close();
    this.#presence = this.#members = this.#waiting = null;
    super.unsubscribe();
  }
  /** In the order in which it came. */
  #in(change) {
    if (this.#waiting === null) change();
    else this.#waiting.push(change);
  }
  /** A list, the first one or another after a reconnection: then it is told who has come and gone meanwhile. */
  #all(members) {
    const before = this.#members;
    if (before === null) {
      const known = new Map(members.map(({ id, info }) => [id, info]));
      this.#members = known;
      for (const listener of [...this.#here]) guarded(() => listener([...known.values()]));
      return;
    }
    const now = new Set(members.map(({ id }) => id));
    this.#go([...before.keys()].filter((id) => !now.has(id)).map((id) => ({ id })));
    this.#come(members);
  }
  #come(members) {
    for (const { id, info } of members) {
      const isNew = !this.#members?.has(id);
      this.#members?.set(id, info);
      if (isNew) for (const listener of [...this.#joining]) guarded(() => listener(info));
    }
  }
  #go(members) {
    for (const { id } of members) {
      const info = this.#members?.get(id);
      if (this.#members?.delete(id)) for (const listener of [...this.#leaving]) guarded(() => listener(info));
    }
  }
  /** The list was cut: the application has all of it. Without an answer the part that came has to do. */
  #askAll(presence, members) {
    const waiting = [];
    this.#waiting = waiting;
    this.#pages().catch(() => members).then((all) => {
      if (this.#presence !== presence || this.#waiting !== waiting) return;
      this.#waiting = null;
      this.#all(all);
      for (const change of waiting) this.#in(change);
    });
  }
  async #pages() {
    const all = [];
    for (let page = 0; page < MOST_PAGES; page++) {
      const after = all.at(-1)?.id;
      const parameters = new URLSearchParams({ channel: this.name, ...after !== void 0 && { after } });
      const response = await this.host.requests.get("members", parameters);
      if (!response.ok) throw new Error(`the server answered ${response.status} to the question who is on ${this.name}`);
      const { members } = await response.json();
      if (members.length === 0) break;
      all.push(...members);
    }
    return all;
  }
};

// src/backoff.ts
function delay(retry, failures, longest, random, failure) {
  const doubled = Math.min(retry * 2 ** Math.min(failures, 30), Math.max(longest, retry));
  const spread = doubled * 0.5 * random();
  return Math.max(doubled, failure.retryAfter ?? 0) + spread;
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

// src/failure.ts
var PASSING = /* @__PURE__ */ new Set([408, 425, 429]);
function ofStatus(status, retryAfter, now) {
  const final = status === 204 || status === 205 || status >= 400 && status < 500 && !PASSING.has(status);
  const message = `the server answered ${status}`;
  const delay2 = retryAfter === null ? null : parseRetryAfter(retryAfter, now);
  return { reason: "status", message, status, final, ...delay2 !== null && { retryAfter: delay2 } };
}
function parseRetryAfter(value, now) {
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1e3;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

// src/echo/connector.ts
import { SSEManager } from "./sse-manager.js";

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

// src/echo/options.ts
var Requests = class {
  #options;
  #fetch;
  constructor(options) {
    this.#options = options;
    this.#fetch = options.stream?.environment?.fetch ?? globalThis.fetch?.bind(globalThis) ?? null;
  }
  url(route) {
    const { host, path = "/sse" } = this.#options;
    return `${host?.replace(/\/$/, "") ?? ""}/${path.replace(/^\/|\/$/g, "")}/${route}`;
  }
  /** The headers, as the page has them now: a login may have brought another token. */
  headers() {
    const { auth, bearerToken } = this.#options;
    const token = this.#csrfToken();
    return {
      ...token && { "X-CSRF-TOKEN": token },
      ...bearerToken && { Authorization: `Bearer ${bearerToken}` },
      ...auth?.headers
    };
  }
  get(route, parameters, headers = {}) {
    return this.#ask(`${this.url(route)}?${parameters}`, { headers: { Accept: "application/json", ...this.headers(), ...headers } });
  }
  post(route, content, headers) {
    const own = { Accept: "application/json", "Content-Type": "application/json" };
    return this.#ask(this.url(route), {
      method: "POST",
      headers: { ...own, ...this.headers(), ...headers },
      body: JSON.stringify(content)
    });
  }
  #ask(url, init) {
    if (this.#fetch === null) throw new TypeError("SseConnector: this runtime has no fetch()");
    return this.#fetch(url, { credentials: this.#options.withCredentials ? "include" : "same-origin", ...init });
  }
  /** Where Echo's own connectors look for it. */
  #csrfToken() {
    const page = globalThis;
    const { csrfToken } = this.#options;
    return page.Laravel?.csrfToken ?? csrfToken ?? page.document?.querySelector('meta[name="csrf-token"]')?.getAttribute("content") ?? null;
  }
};

// src/echo/connector.ts
var ASKED_AT_ONCE = 25;
var SECRET = 16;
var SseConnector = class {
  options;
  requests;
  /** By their whole names, which may be any, such as `constructor`; Echo's leaveAllChannels() reads it. */
  channels = /* @__PURE__ */ Object.create(null);
  mark = null;
  /** Says to the application which page it is, and to nobody else. */
  #secret;
  #streams = [];
  /** Channels that were left in this moment, by their names: who takes one again now has it at once, and misses nothing. */
  #left = /* @__PURE__ */ new Map();
  /** Channels that the application is to be asked for, and those that need an answer of their own. */
  #wanted = [];
  #alone = [];
  #asking = false;
  #failures = 0;
  #ended = false;
  #told = "disconnected";
  #listeners = /* @__PURE__ */ new Set();
  #environment;
  #again;
  constructor(options = {}) {
    this.options = options;
    this.requests = new Requests(options);
    this.#environment = { ...surroundings(), ...options.stream?.environment };
    this.#again = new Timer(this.#environment);
    const { random } = this.#environment;
    this.#secret = Array.from({ length: SECRET }, () => Math.floor(random() * 36).toString(36)).join("");
  }
  get namespace() {
    return this.options.namespace ?? "App.Events";
  }
  /** Tries again at once where the connection has failed, or waits. */
  connect() {
    this.#ended = false;
    for (const { manager } of this.#streams) manager.connect();
    if (this.#wanted.length + this.#alone.length > 0) this.#ask();
  }
  listen(name, event, listener) {
    return this.channel(name).listen(event, listener);
  }
  channel(name) {
    return this.#channel(name, SseChannel);
  }
  privateChannel(name) {
    return this.#channel(`private-${name}`, SsePrivateChannel);
  }
  presenceChannel(name) {
    return this.#channel(`presence-${name}`, SsePresenceChannel);
  }
  leave(name) {
    for (const prefix of ["", "private-", "presence-"]) this.leaveChannel(prefix + name);
  }
  leaveChannel(name) {
    const channel = this.channels[name];
    if (channel === void 0) return;
    if (channel.isUp) {
      channel.pause();
      this.#left.set(name, channel);
      queueMicrotask(() => this.#endLeft(name));
    } else {
      channel.unsubscribe();
    }
    delete this.channels[name];
    this.#wanted = this.#wanted.filter((one) => one !== channel);
    this.#alone = this.#alone.filter((one) => one !== channel);
  }
  /**
   * By what the application leaves this page out: `toOthers()`. The stream's id, by which the hub does not send it the event,
   * and the page's secret, of which the event has a hash, the mark: where it comes later, by another stream, the page drops it. Tabs
   * that share a stream have the secret only.
   */
  socketId() {
    const { manager } = this.#streams[0] ?? {};
    if (manager === void 0) return void 0;
    const stream = this.options.session === void 0 ? manager.streamId ?? "" : "";
    return `${stream}.${this.#secret}`;
  }
  connectionStatus() {
    if (this.#ended) return "disconnected";
    const { manager } = this.#streams[0] ?? {};
    if (manager === void 0) return this.#failures > 0 ? "reconnecting" : this.#asking ? "connecting" : "disconnected";
    return STATUS[manager.state];
  }
  onConnectionChange(listener) {
    const told = (status) => listener(status);
    this.#listeners.add(told);
    return () => void this.#listeners.delete(told);
  }
  /** Ends the connection, and with it all channels. */
  disconnect() {
    this.#ended = true;
    this.#again.stop();
    for (const name of Object.keys(this.channels)) this.leaveChannel(name);
    for (const name of this.#left.keys()) this.#endLeft(name);
    for (const { manager } of this.#streams) manager.close();
    this.#streams = [];
    this.#failures = 0;
    this.#tell();
  }
  #endLeft(name) {
    this.#left.get(name)?.unsubscribe();
    this.#left.delete(name);
  }
  #channel(name, kind) {
    const known = this.channels[name];
    if (known instanceof kind) return known;
    known?.unsubscribe();
    const channel = new kind(this, name);
    this.channels[name] = channel;
    this.#ended = false;
    const left = this.#left.get(name);
    if (left instanceof kind) {
      channel.adopt(left);
      this.#endLeft(name);
      return channel;
    }
    this.#wanted.push(channel);
    queueMicrotask(() => this.#ask());
    return channel;
  }
  /** Asks for those that have no topic yet; one question at a time. */
  #ask() {
    if (this.#asking) return;
    this.#again.stop();
    const asked = this.#wanted.length > 0 ? this.#wanted.splice(0, ASKED_AT_ONCE) : this.#alone.splice(0, 1);
    if (asked.length === 0) return;
    this.#asking = true;
    this.#tell();
    const parameters = new URLSearchParams(asked.map(({ name }) => ["channels[]", name]));
    this.requests.get("channels", parameters, { "X-Socket-ID": `.${this.#secret}` }).then(
      async (response) => {
        if (response.ok) return this.#learn(asked, await response.json());
        throw ofStatus(response.status, response.headers.get("Retry-After"), this.#environment.now());
      }
    ).then(
      () => this.#answered(),
      (problem) => this.#unanswered(asked, problem)
    );
  }
  #answered() {
    this.#asking = false;
    this.#failures = 0;
    this.#tell();
    this.#ask();
  }
  #unanswered(asked, problem) {
    const failure = isFailure(problem) ? problem : { reason: "network", message: String(problem), final: false };
    if (failure.final) {
      const error = { type: "AuthError", error: failure.message, ...failure.status && { status: failure.status } };
      for (const channel of this.#still(asked)) channel.fail(error, channel.topic !== null);
      this.#answered();
      return;
    }
    this.#asking = false;
    this.#failures++;
    this.#wanted.unshift(...this.#still(asked));
    const { retry = 2e3, maxRetry = 6e4 } = this.options.stream ?? {};
    this.#again.start(delay(retry, this.#failures - 1, maxRetry, this.#environment.random, failure), () => this.#ask());
    this.#tell();
  }
  #learn(asked, { channels, refused, socket }) {
    this.mark = socket ?? null;
    for (const channel of this.#still(asked)) {
      const allowed = channels.find((one) => one.channel === channel.name);
      if (allowed !== void 0) {
        if (channel.topic === null) channel.begin(this.#stream(allowed.member), allowed.topic);
        else channel.regain();
        continue;
      }
      const reason = refused.find((one) => one.channel === channel.name)?.reason ?? "unknown";
      if (reason === "presence" && asked.length > 1) this.#alone.push(channel);
      else if (!channel.isLost) {
        channel.fail({ type: "AuthError", status: 403, reason, error: `the server refuses the channel: ${reason}` }, channel.topic !== null);
      }
    }
  }
  /** Those that were not left meanwhile. */
  #still(asked) {
    return asked.filter((channel) => this.channels[channel.name] === channel);
  }
  /** The stream for a channel that tells this of the user. */
  #stream(member) {
    const told = member === void 0 ? null : JSON.stringify(member);
    const found = this.#streams.find((one) => told === null || one.member === null || one.member === told);
    const stream = found ?? { manager: this.#manager(this.#streams.length), member: told };
    stream.member ??= told;
    if (found === void 0) this.#streams.push(stream);
    return stream.manager;
  }
  #manager(number) {
    const { session, withCredentials, stream } = this.options;
    const manager = new SSEManager({
      ...stream,
      url: this.requests.url("stream"),
      topicsUrl: this.requests.url("topics"),
      headers: () => this.requests.headers(),
      ...session !== void 0 && { session: number === 0 ? session : `${session} ${number}` },
      ...withCredentials !== void 0 && { withCredentials }
    });
    const changed = () => this.#tell();
    manager.on("open", () => {
      changed();
      this.#check(manager, { names: [], more: false });
    });
    manager.on("reconnecting", changed);
    manager.on("closed", ({ failure }) => {
      if (failure !== null) this.#refused(manager, null, failure);
      changed();
    });
    manager.on("refused", (refused) => this.#check(manager, refused));
    manager.on("error", ({ topics, failure, delay: delay2 }) => {
      if (delay2 === null) this.#refused(manager, topics, failure);
    });
    queueMicrotask(changed);
    return manager;
  }
  /** A stream has come without some of its channels, or with some again: the application is asked which, and why. */
  #check(manager, { names, more }) {
    const channels = Object.values(this.channels).filter((channel) => channel.isOf(manager) && !this.#wanted.includes(channel));
    this.#wanted.push(...channels.filter((channel) => more || channel.isLost || names.includes(channel.name)));
    this.#ask();
  }
  /** The server no longer gives these topics; null: none of the stream's. */
  #refused(manager, topics, { message, status }) {
    const own = this.#streams.some((one) => one.manager === manager);
    for (const channel of own ? Object.values(this.channels) : []) {
      if (channel.topic === null || topics !== null && !topics.includes(channel.topic)) continue;
      channel.fail({ type: "StreamError", error: message, ...status !== void 0 && { status } }, topics === null);
    }
  }
  #tell() {
    const status = this.connectionStatus();
    if (status === this.#told) return;
    this.#told = status;
    for (const listener of [...this.#listeners]) guarded(() => listener(status));
  }
};
var STATUS = {
  idle: "disconnected",
  connecting: "connecting",
  open: "connected",
  reconnecting: "reconnecting",
  closed: "failed"
};
function isFailure(problem) {
  return typeof problem === "object" && problem !== null && "final" in problem;
}
export {
  SseChannel,
  SseConnector,
  SsePresenceChannel,
  SsePrivateChannel,
  SseConnector as default
};
//# sourceMappingURL=sse-echo.js.map
