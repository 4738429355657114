import { readFileSync, readdirSync } from 'node:fs'

/** Whether a process is there. One whose main thread has ended has its sockets until all of its threads have. */
export function isAlive(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return !/^State:\s*[XZ]/m.test(status) || readdirSync(`/proc/${pid}/task`).length > 1
  } catch {
    return false
  }
}
