// Waiting for conditions, never for time.

const PATIENCE = 60_000

/** Waits until it holds, or fails. */
export async function until(what, holds) {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const result = await holds()
    if (result) return result
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The next event of this name. */
export function next(manager, name, which = () => true) {
  return within(`the event '${name}'`, new Promise((resolve) => {
    const off = manager.on(name, (event) => {
      if (!which(event)) return
      off()
      resolve(event)
    })
  }))
}

/** Fails instead of waiting for ever. */
export function within(what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
