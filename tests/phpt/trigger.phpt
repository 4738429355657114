--TEST--
A trigger wakes subscriptions, never throws, and says false for what can't be taken
--INI--
sse.namespace=trigger
sse.udp=
sse.idle_exit=5
--FILE--
<?php
// No hub runs yet, and a trigger does not start one.
var_dump(SseTrigger::push('notifications_user_7'));

$reader = new SseSubscription(['notifications_user_7', 'orders.*'], ['timeout' => 10]);
var_dump(SseTrigger::push('notifications_user_7', 'elsewhere', 'orders.3'));
$seen = [];
foreach ($reader as $event) {
    $seen[] = $event->topic;
    var_dump($event->isTrigger, $event->id, $event->event, $event->data);
    if (count($seen) === 2) {
        break;
    }
}
sort($seen);
echo implode(' ', $seen), "\n";
var_dump(SseTrigger::push(), SseTrigger::push(''), SseTrigger::push('a b'), SseTrigger::push('orders.*'));
?>
--EXPECT--
bool(false)
bool(true)
bool(true)
string(0) ""
NULL
NULL
bool(true)
string(0) ""
NULL
NULL
notifications_user_7 orders.3
bool(false)
bool(false)
bool(false)
bool(false)
