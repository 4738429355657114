import { begin } from './theme'

begin()
