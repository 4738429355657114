/** Typed events. */
export interface ListenOptions {
    /** Ends after the first. */
    readonly once?: boolean;
    /** Ends when that is aborted. */
    readonly signal?: AbortSignal;
}
export declare class Emitter<Events extends object> {
    #private;
    constructor(names: readonly (keyof Events & string)[]);
    /** Calls the listener each time; what it returns takes it off again. */
    on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void, options?: ListenOptions): () => void;
    emit<Name extends keyof Events>(name: Name, event: Events[Name]): void;
}
/** What a handler throws is its page's, and must not end the stream for the others: it is reported as uncaught. */
export declare function guarded(run: () => void): void;
