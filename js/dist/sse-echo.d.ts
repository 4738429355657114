export * from './types/echo/index.js'
export { default } from './types/echo/index.js'
