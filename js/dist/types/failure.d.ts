/** Why a stream ended, and whether to try again. */
export interface Failure {
    /**
     * `network`: no connection, or it broke. `late`: no answer came in time. `held`: headers came, and nothing after them: a proxy may
     * hold the response back. `ended`: the server ended the response. `silent`: no byte came for too long.
     * `status`: an error status. `type`: the response is no event stream. `refused`: the browser's EventSource gave up and
     * doesn't say why.
     */
    readonly reason: 'network' | 'late' | 'held' | 'ended' | 'silent' | 'status' | 'type' | 'refused';
    /** For people. */
    readonly message: string;
    /** The response's status, where it is known. */
    readonly status?: number;
    /** Whether trying again makes no sense. */
    readonly final: boolean;
    /** Milliseconds that the server asked to wait. */
    readonly retryAfter?: number;
}
/**
 * "HTTP 204 No Content … clients … told to stop reconnecting". A 4xx says that this request is wrong and stays so. The
 * standard fails the connection on every other status too; here a 5xx is tried again, as a restart of the server or an
 * overload must not end the streams of all pages.
 */
export declare function ofStatus(status: number, retryAfter: string | null, now: number): Failure;
/** Whether the server has said that nothing more is to come. */
export declare function isEnd({ status }: Failure): boolean;
/** `Retry-After` as RFC 9110, 10.2.3 has it: "delay-seconds", or an HTTP date; null for anything else. */
export declare function parseRetryAfter(value: string, now: number): number | null;
