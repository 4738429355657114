--TEST--
Within an output buffer's callback a stream is refused, and the output is as it was
--INI--
sse.namespace=in_output_callback
sse.udp=
--FILE--
<?php
ob_start(function (string $output): string {
    try {
        sse_stream('a');
        return 'not refused';
    } catch (SseException $e) {
        return $output . get_class($e) . ': ' . $e->getMessage() . "\n";
    }
});
echo "kept\n";
ob_end_flush();
?>
--EXPECT--
kept
SseException: sse_stream() can't be called inside an output buffer's callback
