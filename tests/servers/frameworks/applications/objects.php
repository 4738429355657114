<?php

declare(strict_types=1);

// A page without a framework that streams by an object: `stream` names which one.

use Sse\Stream;

require __DIR__ . '/autoload.php';

$base = Stream::of('news', 'chat.*')->retry(500)->header('X-A', '1');
$derived = $base->retry(900)->heartbeat(1)->header('X-B', '2');
$rendered = Stream::of('news')->render(static fn (array $events): int => count($events))->event('count')
    ->initial(false)->poll(0.2)->share('all')->reauthorize(60)->onlyChanges(false);
try {
    match ($_GET['stream']) {
        'base' => $base->open(),
        'derived' => $derived->open(),
        'rendered' => $rendered->open(),
        'wrong' => (new Stream('news', no_such_option: 1))->open(),
    };
} catch (SseException $exception) {
    echo $exception::class, ': ', $exception->getMessage();
}
