/** A client's connection to the world, with a switch: what it opened breaks when it is dropped, and nothing new can be opened. */

export class Network extends EventTarget {
  #down = false
  #stalled = false
  #open = new Set<AbortController>()
  #resume: (() => void)[] = []

  get down(): boolean {
    return this.#down
  }

  get stalled(): boolean {
    return this.#stalled
  }

  /** As the browser's own, over this connection. */
  readonly fetch: typeof fetch = async (input, init = {}) => {
    if (this.#down) throw new TypeError('the Wi-Fi is off')
    const abort = new AbortController()
    this.#open.add(abort)
    init.signal?.addEventListener('abort', () => abort.abort())
    try {
      const response = await fetch(input, { ...init, signal: abort.signal })
      if (response.body !== null && response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        return new Response(this.#gated(response.body, abort), response)
      }
      const body = await response.arrayBuffer()
      this.#open.delete(abort)
      return new Response(body.byteLength === 0 ? null : body, response)
    } catch (error) {
      this.#open.delete(abort)
      throw error
    }
  }

  drop(down: boolean): void {
    this.#down = down
    if (down) for (const abort of this.#open) abort.abort()
    this.dispatchEvent(new Event(down ? 'down' : 'up'))
  }

  /** Stops reading streams: what comes waits in the browser at first, and in the hub when the connection is full. */
  stall(stalled: boolean): void {
    this.#stalled = stalled
    if (!stalled) for (const resume of this.#resume.splice(0)) resume()
    this.dispatchEvent(new Event('stall'))
  }

  /** The body, read only as long as nothing is stalled. */
  #gated(body: ReadableStream<Uint8Array>, abort: AbortController): ReadableStream<Uint8Array> {
    const reader = body.getReader()
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          await this.#flowing()
          const { done, value } = await reader.read()
          // What was on its way when the reading stopped has not been read.
          await this.#flowing()
          if (done) {
            this.#open.delete(abort)
            controller.close()
          } else controller.enqueue(value)
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    )
  }

  async #flowing(): Promise<void> {
    while (this.#stalled) await new Promise<void>((resolve) => this.#resume.push(resolve))
  }
}
