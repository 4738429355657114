<?php

declare(strict_types=1);

// usage: publisher.php LIBRARY
// Publishes by the library's publisher, and prints what a subscription has read and what a profiler would show.

use Sse\Event;
use Sse\Publisher\ExtensionPublisher;
use Sse\Publisher\TraceablePublisher;

spl_autoload_register(static function (string $class) use ($argv): void {
    require "$argv[1]/" . str_replace('\\', '/', substr($class, 4)) . '.php';
});
$publisher = new TraceablePublisher(new ExtensionPublisher());
$subscription = new SseSubscription(['orders.**', 'end'], ['timeout' => 10.0]);

$ids = [
    $publisher->publish(new Event(['orders.1', 'orders.2'], ['status' => 'paid'], type: 'order', key: 'paid', retain: true)),
    ($receipt = $publisher->publishWithReceipt(new Event('orders.1', 'again', key: 'paid')))->id,
];
$publisher->notify('orders.3', 'orders.4');
$ids[] = $publisher->finish('orders.1', 'the last', 'finished');
try {
    $publisher->publish(new Event('orders.*', 'x'));
} catch (SseInvalidArgument) {
    // It is in what the profiler shows.
}
$publisher->publish(new Event('end', ''));
$read = [];
foreach ($subscription as $event) {
    if ($event->topic === 'end') {
        break;
    }
    $read[] = [$event->topic, $event->event, $event->data, $event->id];
}
echo json_encode([
    'ids' => $ids,
    'receipt' => $receipt,
    'read' => $read,
    'retained' => sse_retained('orders.2')?->data,
    'traced' => array_map(
        static fn ($one): array => [$one->kind, $one->topics, $one->id, $one->taken, $one->problem, $one->seconds > 0],
        $publisher->publications(),
    ),
], JSON_THROW_ON_ERROR);
