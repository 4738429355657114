--TEST--
Without a hub, and with sse.spawn=off, the message says how to start one
--INI--
sse.namespace=no_hub
sse.udp=
sse.idle_exit=5
sse.spawn=off
--FILE--
<?php
foreach ([fn () => sse_publish('a', 'x'), fn () => sse_cursor(), fn () => sse_stats(), fn () => sse_metrics(), fn () => sse_stream('a'),
    fn () => new SseSubscription('a'), fn () => sse_hub_upgrade()] as $call) {
    try {
        $call();
        echo "done\n";
    } catch (SseUnavailable $e) {
        echo $e->getMessage(), "\n";
    }
}
var_dump(SseTrigger::push('a'));
ini_set('sse.publish', 'commit'); // At its end nothing is told: nobody listens.
var_dump(SseTrigger::push('a'));
?>
--EXPECTF--
no hub runs at %s: %s, and sse.spawn is off; start one with: php -r 'sse_hub();'
no hub runs at %s: %s, and sse.spawn is off; start one with: php -r 'sse_hub();'
no hub runs at %s: %s, and sse.spawn is off; start one with: php -r 'sse_hub();'
no hub runs at %s: %s, and sse.spawn is off; start one with: php -r 'sse_hub();'
no hub runs at %s: %s, and sse.spawn is off; start one with: php -r 'sse_hub();'
no hub runs at %s: %s, and sse.spawn is off; start one with: php -r 'sse_hub();'
no hub runs at %s.sock, and sse.spawn is off; start one with: php -r 'sse_hub();'
bool(false)
bool(true)
