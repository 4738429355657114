import { setTimeout as wait } from 'node:timers/promises'

/** Asks again and again until the answer is truthy, and returns it; fails after 20 seconds, with the last answer. */
export async function until(what, ask) {
  const deadline = Date.now() + 20_000
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${what} (${JSON.stringify(answer)})`)
    await wait(25)
  }
}
