/** Time. All windows of the page go by the outermost one's clock. */

const clock = (window.top === null ? window : window.top).performance

/** Milliseconds since the page was opened. */
export const now = (): number => clock.now()

export const wait = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

export function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds.toFixed(1)} ms` : `${(milliseconds / 1000).toFixed(1)} s`
}

/**
 * How far the server's clock is ahead of this one, by what can't be otherwise: an answer to a question, an arrival after its
 * departure. Each exchange narrows the range; the middle of it is the estimate, half its width the doubt.
 */
export class Alignment {
  #bounds: { least: number; most: number }[] = []

  /** Something left here at one time, and had arrived at the server by the other. */
  left(here: number, there: number): void {
    this.#add({ least: -Infinity, most: there - here })
  }

  /** Something left the server at one time, and had arrived here by the other. */
  arrived(there: number, here: number): void {
    this.#add({ least: there - here, most: Infinity })
  }

  /** Null before anything is known. */
  get estimate(): { ahead: number; doubt: number } | null {
    const least = Math.max(...this.#bounds.map((bound) => bound.least))
    const most = Math.min(...this.#bounds.map((bound) => bound.most))
    if (!Number.isFinite(least) || !Number.isFinite(most)) return null
    return { ahead: (least + most) / 2, doubt: Math.max(0, most - least) / 2 }
  }

  #add(bound: { least: number; most: number }): void {
    // Clocks drift: what was seen long ago says little. And one that was set makes all before it void.
    this.#bounds = [...this.#bounds.slice(-60), bound]
    const { estimate } = this
    if (estimate === null) return
    const contradicts = this.#bounds.some(({ least, most }) => estimate.ahead < least - 0.01 || estimate.ahead > most + 0.01)
    if (contradicts) this.#bounds = [bound]
  }
}
