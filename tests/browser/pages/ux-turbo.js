// What an application with ux-turbo has as its own script: the bundle's part is what Symfony makes of controllers.json.
import { Application } from '@hotwired/stimulus'
import '@hotwired/turbo'
import '@symfony/ux-turbo/dist/mercure_stream_source_element.js'
import MercureTurboStream from '@symfony/ux-turbo/dist/turbo_stream_controller.js'

Application.start().register('symfony--ux-turbo--mercure-turbo-stream', MercureTurboStream)
