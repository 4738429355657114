// What a Vue page does with @laravel/echo-vue.
import { configureEcho, useConnectionStatus, useEcho, useEchoNotification, useEchoPresence, useEchoPublic } from '@laravel/echo-vue'
import { SseConnector } from 'php-sse-client/echo'
import { createApp, h, ref } from 'vue'

const { user, path } = document.body.dataset
configureEcho({ broadcaster: SseConnector, path: `${path}/sse` })

const app = createApp({
  setup() {
    const status = useConnectionStatus()
    const [messages, members, told, refreshed] = [ref([]), ref([]), ref(''), ref(0)]
    useEcho(`App.User.${user}`, 'Said', ({ text }) => messages.value.push(text))
    useEchoNotification(`App.User.${user}`, ({ amount }) => (told.value = `Invoice over ${amount}`))
    // As Filament's bell does.
    useEcho(`App.User.${user}`, '.database-notifications.sent', () => refreshed.value++)
    useEchoPublic('news', 'Said', ({ text }) => (told.value = text))
    useEchoPresence('room.vue').channel()
      .here((all) => (members.value = all.map(({ name }) => name)))
      .joining(({ name }) => members.value.push(name))
      .leaving(({ name }) => (members.value = members.value.filter((one) => one !== name)))
    const list = (id, texts) => h('ul', { id }, texts.map((text) => h('li', text)))
    return () => [
      h('p', { id: 'status' }, status.value),
      h('p', { id: 'told' }, told.value),
      h('p', { id: 'refreshed' }, String(refreshed.value)),
      list('messages', messages.value),
      list('members', members.value.toSorted()),
    ]
  },
})
app.mount(document.body)
window.unmount = () => app.unmount()
