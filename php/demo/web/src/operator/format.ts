/** Figures as people read them. */

export function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}

export function bytes(value: number): string {
  if (value < 1000) return `${Math.round(value)} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  const power = Math.min(Math.floor(Math.log10(value) / 3), units.length)
  return `${(value / 1000 ** power).toFixed(1)} ${units[power - 1]}`
}

export function perSecond(value: number): string {
  return value >= 100 || value === 0 ? count(value) : value.toFixed(value < 1 ? 2 : 1)
}

/** An age of so many seconds. */
export function since(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min`
  return whole < 172_800 ? `${Math.floor(whole / 3600)} h` : `${Math.floor(whole / 86_400)} days`
}
