/** Elements, found and made. What others wrote gets into them by textContent only. */

export function byId<Type extends HTMLElement = HTMLElement>(id: string): Type {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`the page has no element '${id}'`)
  return element as Type
}

/** An element with these attributes and children; a child that is a string becomes text, never markup. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value)
  element.append(...children)
  return element
}

/** Puts text into an element, if it is not there yet: a screen reader is not told twice. */
export function tell(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** Shows a button as pressed or not, with what it then says. */
export function press(button: HTMLElement, pressed: boolean, label: string): void {
  button.setAttribute('aria-pressed', String(pressed))
  tell(button, label)
}
