// Managers that end with their test.
import { SSEManager } from '../../dist/sse-manager.js'

/** Makes managers for a test; `t` is its context. */
export function managers(t) {
  return (config) => {
    const manager = new SSEManager({ retry: 100, ...config })
    t.after(() => manager.close())
    return manager
  }
}

/** Everything that a subscription or the manager gets, as `topic data` or by a function. */
export function collect(manager, topic, of = ({ data }) => data) {
  const got = []
  const subscription = manager.subscribe(topic, (message) => got.push(of(message)))
  return Object.assign(got, { subscription })
}
