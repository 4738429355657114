/** What all tabs watch together, as the one that has the connection knows it. */
export declare class Wants {
    #private;
    /** What the stream is to have. */
    get topics(): string[];
    /** The oldest place since the last call. */
    takeNeeded(): string | null;
    /** True for a tab that was not known. */
    set(tab: string, topics: readonly string[], from: string | null): boolean;
    delete(tab: string): boolean;
    /** The server will not have these. */
    refuse(topics: readonly string[]): void;
    forgive(): void;
    clear(): void;
}
