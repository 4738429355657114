/** One timer that is started and stopped. */
import type { Environment } from './environment.js';
export declare class Timer {
    #private;
    constructor(environment: Pick<Environment, 'setTimeout' | 'clearTimeout'>);
    get runs(): boolean;
    /** In place of what it was started for before. */
    start(milliseconds: number, run: () => void): void;
    stop(): void;
}
