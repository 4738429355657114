/// <reference lib="esnext.disposable" />
export * from './types/index.js'
