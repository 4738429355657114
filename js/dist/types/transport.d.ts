/** How a stream is opened and read. */
import type { Failure } from './failure.js';
import type { Frame } from './frame.js';
/** What is asked for. */
export interface Request {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly method: 'GET' | 'POST';
    /** The form of a POST; null for none. */
    readonly body: URLSearchParams | null;
    readonly withCredentials: boolean;
}
/** What is told of a stream. After `fail`, or once it was closed, nothing more is. */
export interface Listener {
    /** The server has begun an event stream; `refused` is its header `Sse-Refused`, null where there is none or it can't be seen. */
    open(refused: string | null): void;
    /** Bytes have come, of whatever kind. */
    alive(): void;
    frame(frame: Frame): void;
    /** How often the server sends a heartbeat, at least: milliseconds, or 0 for never. */
    heartbeat(milliseconds: number): void;
    /** "set the event stream's reconnection time to that integer". */
    retry(milliseconds: number): void;
    fail(failure: Failure): void;
}
/** Opens a stream; what it returns closes it. */
export type Transport = (request: Request, listener: Listener) => () => void;
