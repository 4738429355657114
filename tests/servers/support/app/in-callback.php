<?php

declare(strict_types=1);

// Streams from within an output callback, where PHP allows no change of its buffers.
ob_start(static function (string $output): string {
    try {
        sse_stream('a');

        return 'streamed';
    } catch (SseException $exception) {
        return $output . '[caught ' . $exception::class . ']';
    }
});
echo 'the page';
