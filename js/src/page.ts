/** What browsers tell of the page and of the network. */

import type { Environment, Listenable } from './environment.js'

export interface PageListener {
  /** The page is left, or about to be frozen: no task of it may run any more. */
  away(): void
  /** It is there again, after all. */
  back(): void
  /** It can't be seen any more; it may end without another word. */
  hidden(): void
  /** It can be seen. */
  seen(): void
  /** There is a network; with `again`, there was none before. */
  online(again: boolean): void
}

/** Tells all of it; what it returns ends that. */
export function watchPage({ window, document }: Environment, listener: PageListener): () => void {
  const stops: (() => void)[] = []
  const on = (target: Listenable | null, type: string, run: (event: Event) => void) => {
    target?.addEventListener(type, run)
    stops.push(() => target?.removeEventListener(type, run))
  }
  let offline = false
  let gone = false
  const away = () => {
    if (gone) return
    gone = true
    listener.away()
  }
  const back = () => {
    if (!gone) return
    gone = false
    listener.back()
  }
  on(window, 'offline', () => (offline = true))
  on(window, 'online', () => {
    listener.online(offline)
    offline = false
  })
  // Perhaps for the back/forward cache, which no page with an open connection or a lock gets into.
  on(window, 'pagehide', away)
  on(window, 'pageshow', (event) => {
    if ((event as PageTransitionEvent).persisted) back()
  })
  on(document, 'freeze', away)
  on(document, 'resume', back)
  on(document, 'visibilitychange', () => {
    if (document?.visibilityState === 'hidden') listener.hidden()
    else listener.seen()
  })
  return () => {
    for (const stop of stops) stop()
  }
}
