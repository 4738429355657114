// What pages have to say, which they post as JSON to the address in their parameter `report`.
import { createServer } from 'node:http'

export class Reports {
  static async start(t) {
    const reports = new Reports()
    await new Promise((resolve) => reports.server.listen(0, '127.0.0.1', resolve))
    t.after(async () => {
      reports.server.closeAllConnections()
      await new Promise((resolve) => reports.server.close(resolve))
    })
    return reports
  }

  constructor() {
    this.all = []
    this.server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      this.all.push(JSON.parse(body))
      response.writeHead(204, { 'Access-Control-Allow-Origin': '*' }).end()
    })
  }

  /** The address of the page, asked to report here. */
  asked(page) {
    const address = new URL(page)
    address.searchParams.set('report', `http://127.0.0.1:${this.server.address().port}/`)
    return address.href
  }
}
