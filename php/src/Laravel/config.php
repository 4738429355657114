<?php

/**
 * Laravel's broadcasting by php-sse. `php artisan vendor:publish --tag=sse-config` copies this file to config/sse.php.
 * What the hub itself allows is set in php.ini (`sse.…`), not here.
 */

return [
    /*
     * The first segment of all topics of this application. Applications that use the same hub must have different ones:
     * otherwise they get each other's events. 1 to 64 ASCII letters, digits, `-` or `_`.
     */
    'prefix' => env('SSE_PREFIX', 'laravel'),

    /*
     * The path of the routes: `sse/stream`, `sse/channels`, `sse/topics`, `sse/members` and `sse/whisper`. Null: this
     * package makes none, and routes of your own call Sse\Laravel\SseController.
     */
    'path' => env('SSE_PATH', 'sse'),

    /*
     * Middlewares of all routes. They have to say who the user is: `web` for sessions, or such as `auth:sanctum` for tokens.
     * CSRF tokens are checked as for any other route that is asked by POST.
     */
    'middleware' => ['web'],

    /*
     * Middlewares besides, by route. Attempts, minutes, and a name, without which all limits of a user are counted together. A
     * page asks for a stream when it is opened, and again when its connection breaks or it listens to more channels.
     */
    'stream_middleware' => [\Illuminate\Routing\Middleware\ThrottleRequests::class . ':300,1,sse-stream'],
    'whisper_middleware' => [\Illuminate\Routing\Middleware\ThrottleRequests::class . ':300,1,sse-whisper'],

    /*
     * Channels that one stream may have: each may cost a query in its callback. A request for more is answered with 422. Not more
     * than `sse.max_topics` of php.ini.
     */
    'max_channels' => 100,

    /*
     * Seconds after which the application is asked again whether the client may still have its channels: the stream's request
     * is done once more, in the background, and keeps the session alive. Where it may have fewer channels then, or others, the stream
     * ends, and the client comes back for those. 0: never, until the client reconnects.
     */
    'reauthorize' => (int) env('SSE_REAUTHORIZE', 300),

    /*
     * Whether streams are their user's, by the key `PREFIX:ID`: php.ini's `sse.max_streams_per_user` counts them,
     * `sse_disconnect(user: …)` ends them, and the user's page can change the channels of its open stream.
     */
    'user_key' => true,

    /*
     * Options of sse_stream() for all streams: `heartbeat` in seconds, `retry` in milliseconds, `max_lifetime` in seconds. Those
     * that are left out are as php.ini says.
     */
    'stream' => [],

    /*
     * How events are published. `ack`: the job or request goes on when the hub has the event, and fails where it has not. `async`:
     * it is sent only. `commit` is for requests, and not for queue workers: there an event would wait for the worker's end.
     */
    'publish' => env('SSE_PUBLISH', 'ack'),

    /*
     * Whispers: what clients send to the other clients of a private or presence channel. False: none.
     */
    'whispers' => true,

    /*
     * Bytes of a whisper's data, as JSON. A larger one is answered with 413.
     */
    'whisper_bytes' => 10_240,
];
