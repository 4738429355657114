/** Types as a person does: not evenly, with a pause after a word and a longer one after a sentence, and now and then a slip. */

import { wait } from './clock'

const NEIGHBOURS: Readonly<Record<string, string>> = { a: 's', e: 'r', i: 'o', n: 'm', o: 'p', r: 't', s: 'd', t: 'y' }

/** Milliseconds about this long: often less, sometimes much more. */
const about = (milliseconds: number): number => milliseconds * Math.exp(0.45 * normal())

/** Of the normal distribution. */
function normal(): number {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())
}

/** Types the text into the field; ends early, and says false, when told to stop. */
export async function type(field: HTMLInputElement, text: string, signal: AbortSignal): Promise<boolean> {
  const put = (value: string) => {
    field.value = value
    field.dispatchEvent(new Event('input', { bubbles: true }))
  }
  // What stands there may be somebody else's by now.
  let typed = ''
  put('')
  for (const [at, letter] of [...text].entries()) {
    const slip = NEIGHBOURS[letter]
    if (slip !== undefined && at > 3 && Math.random() < 0.015) {
      put(typed + slip)
      await wait(about(190))
      if (signal.aborted) return false
      put(typed)
      await wait(about(120))
    }
    if (signal.aborted) return false
    typed += letter
    put(typed)
    await wait(about(/[.,!?:]/.test(letter) ? 260 : letter === ' ' ? 85 : 48))
  }
  await wait(about(300))
  return !signal.aborted
}

/** How long somebody takes to read a message and think of an answer. */
export const reading = (text: string): Promise<void> => wait(about(350 + 16 * text.length))
