/** What a tab and the shared worker that has the locks say to each other. */
/** A request is known by its number, which its tab gives once. */
export type ToWorker = {
    readonly do: 'request';
    readonly id: number;
    readonly name: string;
    readonly ifAvailable: boolean;
    readonly steal: boolean;
}
/** Ends a request, whether it waits or has the lock. */
 | {
    readonly do: 'release';
    readonly id: number;
}
/** The answer to a ping. */
 | {
    readonly do: 'pong';
};
export type ToTab = 
/** The first word of all: how often a ping comes, in milliseconds. */
{
    readonly say: 'hello';
    readonly ping: number;
} | {
    readonly say: 'ping';
}
/** The request has the lock; or does not, as another has it. `lost`: another tab has taken it, or this one was silent for too long. */
 | {
    readonly say: 'granted' | 'unavailable' | 'lost';
    readonly id: number;
};
