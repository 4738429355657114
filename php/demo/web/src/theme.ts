/** Light or dark: as the system has it, until somebody chooses. All windows follow. */

import { tell } from './dom'

const KEY = 'php-sse-demo theme'
const system = matchMedia('(prefers-color-scheme: dark)')

function chosen(): string | null {
  try {
    return localStorage.getItem(KEY)
  } catch {
    return null
  }
}

const isDark = (): boolean => (chosen() ?? (system.matches ? 'dark' : 'light')) === 'dark'

function apply(): void {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light'
  dispatchEvent(new Event('theme'))
}

/** Before anything is seen. */
export function begin(): void {
  apply()
  system.addEventListener('change', apply)
  addEventListener('storage', apply)
}

/** The button, where the page has one. */
export function offer(button: HTMLElement | null): void {
  if (button === null) return
  const show = () => tell(button, isDark() ? 'Light mode' : 'Dark mode')
  button.addEventListener('click', () => {
    try {
      localStorage.setItem(KEY, isDark() ? 'light' : 'dark')
    } catch {
      // It can't be remembered, nor told to the other windows.
    }
    // Browsers tell only the other windows.
    dispatchEvent(new Event('storage'))
  })
  addEventListener('theme', show)
  show()
}
