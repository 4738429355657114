import { dashboard } from './dashboard'
import { job } from './job'
import { room } from './room'
import { stage } from './stage'
import { stock } from './stock'
import { offer } from './theme'

const pages: Readonly<Record<string, () => void>> = { chat: stage, room, stock, hub: dashboard, job }
offer(document.getElementById('theme'))
pages[document.body.dataset.page ?? '']?.()
