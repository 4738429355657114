// What a React page does with @laravel/echo-react.
import { configureEcho, useConnectionStatus, useEcho, useEchoNotification, useEchoPresence, useEchoPublic } from '@laravel/echo-react'
import { SseConnector } from 'php-sse-client/echo'
import { createElement, StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'

const { user, path } = document.body.dataset
configureEcho({ broadcaster: SseConnector, path: `${path}/sse` })

function Page() {
  const status = useConnectionStatus()
  const [messages, setMessages] = useState([])
  const [members, setMembers] = useState([])
  const [told, setTold] = useState('')
  const [refreshed, setRefreshed] = useState(0)
  // Depends on what it changes: with each message the channel is left, and taken again. Two may come before the page is rendered.
  useEcho(`App.User.${user}`, 'Said', ({ text }) => setMessages((before) => [...before, text]), [messages])
  useEchoNotification(`App.User.${user}`, ({ amount }) => setTold(`Invoice over ${amount}`))
  // As Filament's bell does.
  useEcho(`App.User.${user}`, '.database-notifications.sent', () => setRefreshed((times) => times + 1))
  useEchoPublic('news', 'Said', ({ text }) => setTold(text))
  const { channel } = useEchoPresence('room.react')
  useEffect(() => {
    channel()
      .here((all) => setMembers(all.map(({ name }) => name)))
      .joining(({ name }) => setMembers((before) => [...before, name]))
      .leaving(({ name }) => setMembers((before) => before.filter((one) => one !== name)))
  }, [channel])
  const list = (id, texts) => createElement('ul', { id }, texts.map((text) => createElement('li', { key: text }, text)))
  return [
    createElement('p', { id: 'status', key: 's' }, status),
    createElement('p', { id: 'told', key: 't' }, told),
    createElement('p', { id: 'refreshed', key: 'r' }, refreshed),
    createElement('div', { key: 'l' }, list('messages', messages), list('members', members.toSorted())),
  ]
}

const root = createRoot(document.body)
root.render(createElement(StrictMode, null, createElement(Page)))
window.unmount = () => root.unmount()
