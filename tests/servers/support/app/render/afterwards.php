<?php

declare(strict_types=1);

// A stream of a script that works on when its response has ended; it notes how many do so at once when they are rendered.
$data = dirname(__DIR__, 2) . '/data';
$isReplay = sse_render() !== null;
$own = "$data/working-" . getmypid();
if ($isReplay) {
    touch($own);
    file_put_contents("$data/at-once", count(glob("$data/working-*")) . "\n", FILE_APPEND);
}
sse_stream('afterwards', static fn (): int => hrtime(true));
fastcgi_finish_request();
if ($isReplay) {
    usleep(200_000);
    unlink($own);
}
