<?php

declare(strict_types=1);

// Clients of the demo, all in this process: php crowd-client.php PORT ROOM STREAMS SECONDS
// Each opens a stream of the room and reads it, and comes back a second after its stream has ended, as a browser does. They leave
// after SECONDS, or when the server has ended.

[, $port, $room, $count, $seconds] = $argv;
$end = microtime(true) + (int) $seconds;
$streams = $asked = [];
// When each that has no stream is to open one.
$due = array_fill(0, (int) $count, 0.0);
while (($left = $end - microtime(true)) > 0) {
    // A few at a time: a person at the page shall not wait behind all of them.
    foreach ($due as $number => $at) {
        if (count($asked) >= 4 || $at > microtime(true)) {
            break;
        }
        $stream = stream_socket_client("tcp://127.0.0.1:$port", $code, $message, 5);
        if ($stream === false) {
            exit(1); // The server has ended.
        }
        stream_set_blocking($stream, false);
        fwrite($stream, "GET /stream.php?room=$room HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nAccept: text/event-stream\r\n\r\n");
        $streams[$number] = $asked[$number] = $stream;
        unset($due[$number]);
    }
    // A short wait, as others may be due by then.
    $wait = $due === [] ? $left : min($left, 0.1);
    if ($streams === []) {
        usleep((int) ($wait * 1e6));
        continue;
    }
    [$ready, $none, $nothing] = [$streams, null, null];
    if (stream_select($ready, $none, $nothing, (int) $wait, (int) (fmod($wait, 1) * 1e6)) === false) {
        exit(1);
    }
    foreach ($ready as $number => $stream) {
        fread($stream, 65536);
        unset($asked[$number]);
        if (feof($stream)) {
            unset($streams[$number]);
            $due[$number] = microtime(true) + 1;
        }
    }
}
