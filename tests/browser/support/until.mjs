import { setTimeout as wait } from 'node:timers/promises'

/** Asks again and again until the answer is truthy, and returns it; fails after a minute, with the last answer. */
export async function until(what, ask) {
  const deadline = Date.now() + 60_000
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`not within a minute: ${what} (${JSON.stringify(answer)})`)
    await wait(25)
  }
}
