/** The header `Sse-Refused`: what the server did not give a stream, of all that it was asked for. */
export interface Refused {
    /** As the server names them. */
    readonly names: readonly string[];
    /** Whether there are others that the header had no room for. */
    readonly more: boolean;
}
/** Names are percent-encoded and joined by commas; a `*` stands for those that there was no room for. */
export declare function parseRefused(header: string): Refused;
