<?php

declare(strict_types=1);

// usage: php read.php JSON
// A reader of the soak: seed, patterns, habits, last, addresses, journal, control, patience; `subscribe`: by
// SseSubscription; `buffer`, `in_worker`: see HttpSource.

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Soak\Chance;
use PhpSse\Tests\Soak\Control;
use PhpSse\Tests\Soak\HttpSource;
use PhpSse\Tests\Soak\Journal;
use PhpSse\Tests\Soak\Reader;
use PhpSse\Tests\Soak\SubscriptionSource;

require dirname(__DIR__, 2) . '/servers/bootstrap.php';

$about = json_decode($argv[1], true, 512, JSON_THROW_ON_ERROR);
$chance = new Chance($about['seed']);
$source = $about['subscribe']
    ? new SubscriptionSource($about['patterns'])
    : new HttpSource($chance, $about['addresses'], $about['patterns'], $about['buffer'], $about['in_worker']);

$cursor = static function () use ($chance, $about): ?string {
    try {
        $response = (new Client('http://' . $chance->one($about['addresses'])))->request('/soak/cursor.php', [], 'GET', '', 3.0);
    } catch (RuntimeException) {
        return null;
    }

    return $response->status === 200 && $response->isComplete() || $response->isRaw() && $response->status === 200
        ? $response->body
        : null;
};
$journal = new Journal($about['journal']);
$reader = new Reader($source, $about['patterns'], $about['habits'], $cursor, $chance, $journal, $about['last']);
$reader->run(new Control($about['control']), $about['patience']);
