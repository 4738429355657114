/** The button that kills the hub's process, where the server offers it. */

export function killHub(tell: (text: string, kind: 'bad') => void): void {
  document.getElementById('kill')?.addEventListener('click', async () => {
    try {
      const response = await fetch('kill.php', { method: 'POST', headers: { 'X-Demo': 'kill' } })
      const { pid, message } = (await response.json()) as { pid?: number; message?: string }
      tell(pid === undefined ? `The hub lives: ${message ?? response.status}` : `The hub, process ${pid}, was killed`, 'bad')
    } catch (error) {
      tell(`The hub could not be killed: ${String(error)}`, 'bad')
    }
  })
}
