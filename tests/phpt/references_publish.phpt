--TEST--
User code that runs while an event is encoded can change the variables of its topics, and not the event
--INI--
sse.namespace=references_publish
sse.udp=
sse.idle_exit=5
--FILE--
<?php
// Strings on PHP's heap, whose memory is used again as soon as they are let go.
$first = str_repeat('a', 40);
$second = str_repeat('b', 40);
$data = new class implements JsonSerializable {
    public function jsonSerialize(): mixed
    {
        global $first, $second, $topics, $data, $kept;
        $first = 'gone';
        unset($second);
        $topics = $data = null;
        for ($i = 0; $i < 16; $i++) {
            $kept[] = str_repeat('Z', 40);
        }
        return 'encoded';
    }
};
$subscription = new SseSubscription('**', ['timeout' => 5]);
$topics = [&$first, &$second];
$id = str_repeat('7', 40);
$name = str_repeat('n', 40);
$arguments = [&$topics, &$data, &$name, &$id];
sse_publish(...$arguments);
foreach ($subscription as $event) {
    echo $event->topic, ' ', $event->event, ' ', $event->id, ' ', $event->data, "\n";
    break;
}
?>
--EXPECT--
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn 7777777777777777777777777777777777777777 "encoded"
