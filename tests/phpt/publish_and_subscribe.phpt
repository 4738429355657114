--TEST--
What is published is read, in order, once, as it was
--INI--
sse.namespace=publish_and_subscribe
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$reader = new SseSubscription(['chat.*', 'orders.**'], ['timeout' => 10]);
$ids = [];
$ids[] = sse_publish('chat.general', 'hello');
$ids[] = sse_publish('chat.general.deep', 'not for us');
$ids[] = sse_publish(['orders.1.status', 'chat.general'], ['état' => 'payé/ok'], 'status');
$ids[] = sse_publish('orders.2', "a\r\nb\nc\0d", id: 'mine', retry: 5);
$ids[] = sse_publish('orders.3', null);
$ids[] = sse_publish('orders.4', '');
$ids[] = sse_publish('orders.5', 1.5);

foreach ($reader as $n => $event) {
    echo $n, ' ', $event->topic, ' ', var_export($event->event, true), ' ', json_encode($event->data), ' ',
        $event->isTrigger ? 'trigger' : 'event', ' ', in_array($event->id, $ids, true) ? 'known id' : $event->id, "\n";
    if ($event->topic === 'orders.5') {
        break;
    }
}
var_dump(preg_match('/^\d{13,}-\d+$/', $ids[0]), $ids[3], sse_cursor() === end($ids));
$ours = array_values(array_filter($ids, fn ($id) => $id !== 'mine'));
$sorted = $ours;
usort($sorted, fn ($a, $b) => array_map('intval', explode('-', $a)) <=> array_map('intval', explode('-', $b)));
var_dump($sorted === $ours);
?>
--EXPECT--
0 chat.general NULL "hello" event known id
1 orders.1.status 'status' "{\"\u00e9tat\":\"pay\u00e9\/ok\"}" event known id
2 orders.2 NULL "a\r\nb\nc\u0000d" event known id
3 orders.3 NULL "null" event known id
4 orders.4 NULL "" event known id
5 orders.5 NULL "1.5" event known id
int(1)
string(4) "mine"
bool(true)
bool(true)
