/** How a stream is opened and read. */
import type { Failure } from './failure.js';
import type { Frame } from './frame.js';
/** What is asked for. */
export interface Request {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly withCredentials: boolean;
}
/** What is told of a stream. After `fail`, or once it was closed, nothing more is. */
export interface Listener {
    /** The server has begun an event stream. */
    open(): void;
    /** Bytes have come, of whatever kind. */
    alive(): void;
    frame(frame: Frame): void;
    /** "set the event stream's reconnection time to that integer". */
    retry(milliseconds: number): void;
    fail(failure: Failure): void;
}
/** Opens a stream; what it returns closes it. */
export type Transport = (request: Request, listener: Listener) => () => void;
