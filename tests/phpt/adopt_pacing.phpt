--TEST--
sse.adopt: after a wake that brought no output the next sleep lasts all its time
--INI--
sse.namespace=adopt_pacing
sse.udp=
sse.idle_exit=5
sse.adopt=1
sse.adopt_topics="*=**"
--FILE--
<?php
header('Content-Type: text/event-stream');
echo "data: x\n\n";
usleep(1);
$other = new SseSubscription('adopt.pacing', ['timeout' => 10]);
$woken = [];
foreach ([60, 1, 60] as $seconds) {
    SseTrigger::push('adopt.pacing');
    $other->next();
    $before = hrtime(true);
    sleep($seconds);
    $woken[] = hrtime(true) - $before < $seconds * 1e9;
}
echo json_encode($woken), "\n";
?>
--EXPECT--
data: x

[true,false,true]
