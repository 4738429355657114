--TEST--
PHP functions that are disabled are not needed, or named
--INI--
sse.namespace=disabled_functions
sse.udp=
sse.idle_exit=5
disable_functions=sys_get_temp_dir,json_encode,error_log,get_debug_type,set_time_limit,session_write_close
--FILE--
<?php
var_dump(strlen(sse_publish('a', 'x')) > 0);
var_dump(SseTrigger::push('a'));
foreach ([fn () => sse_publish('a', ['x']), fn () => sse_publish(new ArrayObject(), 'x')] as $call) {
    try {
        $call();
    } catch (Throwable $e) {
        echo get_class($e), ': ', $e->getMessage(), "\n";
    }
}
echo sse_stats()['published'], "\n";
?>
--EXPECT--
bool(true)
bool(true)
SseException: php-sse needs json_encode(), which this PHP does not have; see disable_functions
TypeError: sse_publish(): Argument #1 ($topics) must be of type array|string, ArrayObject given
1
