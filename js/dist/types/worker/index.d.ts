/**
 * The shared worker of pages that have no Web Locks, as those without HTTPS: it elects the tab that has the connection. It has locks
 * by name, as `navigator.locks` does, for all tabs of the origin that use this script's address.
 *
 * No browser tells reliably that the other end of a port is gone. So a tab is asked from time to time, and one that does not answer
 * loses its locks; a tab that is left gives them back by itself.
 */
export {};
