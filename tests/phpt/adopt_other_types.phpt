--TEST--
sse.adopt: a script that is no event stream sleeps for all its time, and is told of a flush without a buffer
--INI--
sse.namespace=adopt_other_types
sse.udp=
sse.idle_exit=5
sse.adopt=1
sse.adopt_topics="*=**"
--FILE--
<?php
header('Content-Type: text/event-streams');
sse_publish('a', 'there is a hub now');
SseTrigger::push('a');
$before = hrtime(true);
$results = [sleep(1), usleep(200_000), time_nanosleep(0, 200_000_000)];
echo (hrtime(true) - $before) / 1e9 >= 1.4 ? 'slept' : 'woken', ': ', json_encode($results), "\n";
var_dump(ob_flush());
flush();
echo sse_stats()['streams']['opened'], " streams\n";
?>
--EXPECTF--
slept: [0,null,true]

Notice: ob_flush(): Failed to flush buffer. No buffer to flush in %s on line %d
bool(false)
0 streams
