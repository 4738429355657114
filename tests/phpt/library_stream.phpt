--TEST--
Sse\Stream::header() leaves headers that are none to sse_stream(), which says what is wrong
--EXTENSIONS--
sse
--FILE--
<?php
require __DIR__ . '/../../php/src/Stream.php';
try {
    (new Sse\Stream('a', headers: 'X-A: 1'))->header('X-B', '2')->open();
} catch (SseInvalidArgument $problem) {
    echo $problem->getMessage(), "\n";
}
?>
--EXPECT--
sse_stream(): option 'headers' must be an array of header names and values, string given
