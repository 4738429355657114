/** For `using`, where the runtime has it. */
export function disposable(what: object, dispose: () => void): void {
  if (typeof Symbol.dispose === 'symbol') Object.defineProperty(what, Symbol.dispose, { value: dispose })
}
