/** What browsers tell of the page and of the network. */
import type { Environment } from './environment.js';
export interface PageListener {
    /** The page is left, or about to be frozen: no task of it may run any more. */
    away(): void;
    /** It is there again, after all. */
    back(): void;
    /** It can't be seen any more; it may end without another word. */
    hidden(): void;
    /** It can be seen. */
    seen(): void;
    /** There is a network; with `again`, there was none before. */
    online(again: boolean): void;
}
/** Tells all of it; what it returns ends that. */
export declare function watchPage({ window, document }: Environment, listener: PageListener): () => void;
