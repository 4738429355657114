/** What all tabs watch together, as the one that has the connection knows it. */
export declare class Wants {
    #private;
    /** What the stream is to have. */
    get topics(): string[];
    /** The oldest place since the last call. */
    takeNeeded(): string | null;
    /** Whether this tab has said what it watches. */
    has(tab: string): boolean;
    /** Returns those of the topics that the tab did not watch before. */
    set(tab: string, topics: readonly string[], exact: readonly string[], from: string | null): string[];
    delete(tab: string): boolean;
    /** The server will not have these. */
    refuse(topics: readonly string[]): void;
    forgive(): void;
    clear(): void;
}
