--TEST--
sse.adopt: user code that runs at the first flush, or for a sleep's argument, may throw
--INI--
sse.namespace=adopt_user_code
sse.udp=
sse.idle_exit=5
sse.adopt=1
--FILE--
<?php
header('Content-Type: text/event-stream');
ob_start(function (string $text, int $mode) {
    if ($mode & PHP_OUTPUT_HANDLER_FINAL) {
        throw new RuntimeException('from the callback');
    }
    return $text;
});
echo "what it held\n";
try {
    ob_flush();
} catch (RuntimeException $exception) {
    echo $exception->getMessage(), "\n";
}
flush();
set_error_handler(fn (int $level, string $message) => throw new ErrorException($message));
try {
    usleep(1.5);
} catch (ErrorException $exception) {
    echo $exception->getMessage(), "\n";
}
var_dump(ob_flush());
SseTrigger::push('any.topic');
echo sleep(60), "\n";
register_shutdown_function(function () { echo "shutdown\n"; sleep(0); flush(); });
exit("the end\n");
?>
--EXPECT--
what it held
from the callback
Implicit conversion from float 1.5 to int loses precision
bool(false)
0
the end
shutdown
