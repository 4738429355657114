// An HTTP server for what php-sse doesn't do: answers by turns as it is told, and then a stream.
import { createServer } from 'node:http'

export class Faults {
  /** Each answer is `(response, request) => void`; the last one is given again and again. */
  static async start(...answers) {
    const faults = new Faults(answers)
    await new Promise((resolve) => faults.server.listen(0, '127.0.0.1', resolve))
    faults.url = `http://127.0.0.1:${faults.server.address().port}/`
    return faults
  }

  constructor(answers) {
    this.requests = []
    this.server = createServer((request, response) => {
      const answer = answers[Math.min(this.requests.length, answers.length - 1)]
      this.requests.push({ method: request.method, url: new URL(request.url, 'http://localhost'), headers: request.headers })
      answer(response, request)
    })
  }

  async stop() {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

/** Begins a stream with these bytes, and keeps it open. */
export const stream = (bytes = ':\n\n') => (response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  response.write(bytes)
}

/** Answers with a status. */
export const status = (code, headers = {}) => (response) => {
  response.writeHead(code, headers)
  response.end()
}
