/** The header `Sse-Refused`: what the server did not give a stream, of all that it was asked for. */

export interface Refused {
  /** As the server names them. */
  readonly names: readonly string[]
  /** Whether there are others that the header had no room for. */
  readonly more: boolean
}

/** Names are percent-encoded and joined by commas; a `*` stands for those that there was no room for. */
export function parseRefused(header: string): Refused {
  const parts = header.split(',').map((part) => part.trim()).filter((part) => part !== '')
  return { names: parts.filter((part) => part !== '*').map(decoded), more: parts.includes('*') }
}

/** What is not encoded well stays as it is. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
