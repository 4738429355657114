--TEST--
The trace of a publication is with its event, in the modes that send at once and later, and what is none is refused
--INI--
sse.namespace=traceparent
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
$subscription = new SseSubscription('a', ['timeout' => 20]);
sse_publish('a', 'one', traceparent: $trace);
sse_publish('a', 'two', mode: 'async', traceparent: $trace);
sse_publish('a', 'three');
SseTrigger::push('a');
foreach ($subscription as $event) {
    echo $event->isTrigger ? 'wake' : $event->data, ': ', var_export($event->traceparent, true), "\n";
    if ($event->isTrigger) {
        break;
    }
}
var_dump((new SseEvent('made'))->traceparent);
foreach (['', "$trace-x", strtr($trace, 'f', 'F'), "$trace\n"] as $wrong) {
    try {
        sse_publish('a', 'x', traceparent: $wrong);
        echo "published\n";
    } catch (SseInvalidArgument $error) {
        echo substr($error->getMessage(), 0, 16), "\n";
    }
}
?>
--EXPECT--
one: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
two: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
three: NULL
wake: NULL
NULL
traceparent '' i
traceparent '00-
traceparent '00-
traceparent '00-
