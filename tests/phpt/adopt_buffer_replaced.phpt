--TEST--
sse.adopt: a buffer that a script starts in place of PHP's own is the script's, and flush() leaves it alone
--INI--
sse.namespace=adopt_buffer_replaced
sse.udp=
sse.idle_exit=5
sse.adopt=1
output_buffering=4096
--FILE--
<?php
header('Content-Type: text/event-stream');
while (ob_get_level() > 0) {
    ob_end_clean();
}
ob_start();
echo "what it cleans\n";
flush();
ob_clean();
echo "data: what it sends\n\n";
ob_end_flush();
?>
--EXPECT--
data: what it sends
