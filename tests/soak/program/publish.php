<?php

declare(strict_types=1);

// usage: php publish.php JSON
// A publisher of the soak: name, seed, rate, modes, journal, control; `address`: by requests to this server, else itself.
// With `markers` it publishes the last events instead.

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Soak\Chance;
use PhpSse\Tests\Soak\Control;
use PhpSse\Tests\Soak\Draft;
use PhpSse\Tests\Soak\Journal;
use PhpSse\Tests\Soak\Publisher;

require dirname(__DIR__, 2) . '/servers/bootstrap.php';

$about = json_decode($argv[1], true, 512, JSON_THROW_ON_ERROR);

function by_call(Draft $draft, string $mode): string
{
    $arguments = [$draft->topics, $draft->data, $draft->name, $draft->id];

    return sse_publish(...($mode === 'ack' ? $arguments : [...$arguments, null, $mode]));
}

/** Any answer but the id says nothing of whether it was published. */
function by_request(string $address, Draft $draft, string $mode): string
{
    $form = ['topics' => implode(',', $draft->topics), 'data' => $draft->data, 'mode' => $mode];
    $form += array_filter(['event' => $draft->name, 'id' => $draft->id], 'is_string');
    $response = (new Client("http://$address"))->request('/soak/publish.php', [], 'POST', http_build_query($form), 5.0);
    $answer = json_decode($response->body, true);
    if ($mode === 'rollback' && $response->status === 500) {
        return '';
    }
    if ($response->status !== 200 || !$response->isComplete() && $response->isRaw() === false || !isset($answer['id'])) {
        throw new RuntimeException("status $response->status: " . substr($response->body, 0, 200));
    }

    return $answer['id'];
}

$address = $about['address'] ?? null;
$send = $address === null
    ? by_call(...)
    : static fn (Draft $draft, string $mode): string => by_request($address, $draft, $mode);
$control = new Control($about['control']);
$publisher = new Publisher(
    $about['name'],
    new Chance($about['seed']),
    new Journal($about['journal']),
    $send,
    $about['modes'],
);
if (isset($about['markers'])) {
    $control->finish($publisher->markers($control, $about['markers']));
} else {
    $publisher->run($control, $about['rate']);
}
