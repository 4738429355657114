// In place of pusher-js.
export default null
