<?php

declare(strict_types=1);

use Demo\Crowd;
use Demo\Request;
use Demo\Workers;

require __DIR__ . '/../src/start.php';

Request::method('GET');
try {
    $streams = sse_stats()['streams']['open'];
} catch (SseException) {
    $streams = null; // The hub has just been killed.
}
Request::answer(Workers::now() + ['streams' => $streams, 'crowd' => Crowd::isOpen()]);
