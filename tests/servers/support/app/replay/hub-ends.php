<?php

declare(strict_types=1);

// A stream of `news` whose hub is killed once, at the place that `at` names: while the first run of its `callback` goes on
// (`callback`), or when the headers are on their way and the worker has not let go yet (`headers`).
require_once __DIR__ . '/data.php';

function end_hub(string $at): void
{
    static $done = false;
    if ($done || $at !== $_GET['at'] || sse_render() !== null) {
        return;
    }
    $done = true;
    exec('kill -9 ' . sse_stats()['pid']);
    // Its threads end one after the other, and its sockets with the last.
    while (@stream_socket_client('unix://' . ini_get('sse.socket')) !== false) {
        usleep(1000);
    }
}

header_register_callback(static fn () => end_hub('headers'));
$callback = static function (array $events): string {
    end_hub('callback');
    tell('runs', 'run');

    return $events === [] ? 'first' : end($events)->data;
};
$answer = sse_stream('news', isset($_GET['plain']) ? null : $callback);
error_log('sse_stream returned ' . var_export($answer, true));
