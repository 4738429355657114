<?php

declare(strict_types=1);

// What the pages give to sse_stream(), by name.

function callback(string $name): ?callable
{
    return match ($name) {
        'none' => null,
        // All that the callback was told.
        'events' => static fn (array $events): array => array_map(get_object_vars(...), $events),
        // The kind of value that the last event asks for.
        'value' => static fn (array $events): mixed => value($events === [] ? 'first' : end($events)->data),
        // What the file `shown` says now.
        'shown' => static fn (): string => trim(told('shown')),
        // What the file `shown` says, which is the end of the stream once the file `over` is there.
        'until-over' => static fn (): mixed => told('over') === '' ? trim(told('shown')) : theEnd(trim(told('over'))),
        // A number that is different each time.
        'count' => static fn (): int => substr_count(told($_GET['runs'] ?? 'runs'), "\n"),
        // The id that the client has, as it can be asked for; the event's own is what was published.
        'last-id' => static fn (array $events): SseEvent => new SseEvent(
            [sse_render()['last_event_id'] ?? null, $_SERVER['HTTP_LAST_EVENT_ID'] ?? null],
            id: ($events[0]->data ?? '') === '' ? null : $events[0]->data,
        ),
        'twice' => static fn (): string => $_SERVER['HTTP_X_TWICE'],
        // As a value, with output besides: a warning that is displayed, a forgotten var_dump().
        'noisy' => static function (array $events): string {
            echo 'noise';
            echo $undefined;
            ob_start();
            echo 'buffered noise';

            return $events === [] ? 'first' : end($events)->data;
        },
        // What streaming scripts of old do.
        'flushing' => static function (): string {
            echo 'flushed noise';
            while (ob_get_level() > 0) {
                ob_end_flush();
            }
            flush();

            return 'too late';
        },
        'changed-meanwhile' => changed_meanwhile(...),
        'forks' => forked(...),
        'fails' => static fn (): mixed => fail($_GET['how']),
        'fails-later' => static fn (array $events): mixed => $events === [] ? 'first' : fail($_GET['how']),
    };
}

/** In a replay, what it was told, once a child that it has forked has ended the request as well. */
function forked(array $events): string
{
    if ($events === []) {
        return 'first';
    }
    $descriptors = static fn (int $process): int => count(glob("/proc/$process/fd/*"));
    // Without the one that looking at its own takes.
    $before = $descriptors(getmypid()) - 1;
    $child = pcntl_fork();
    if ($child === 0) {
        tell('children', json_encode(['pid' => getmypid(), 'reason' => reason()]));
        exit;
    }
    // It goes on as a server, without this connection.
    while ($descriptors($child) >= $before) {
        usleep(1000);
    }

    return end($events)->data;
}

function value(string $kind): mixed
{
    return match ($kind) {
        'string' => "a string\nof two lines",
        'number' => 42,
        'float' => 0.5,
        'false' => false,
        'empty string' => '',
        'list' => [1, 'ü/"', null],
        'map' => ['a' => ['b' => true]],
        'object' => (object) ['c' => 1.5],
        'empty array' => [],
        'null' => null,
        'event' => new SseEvent(['total' => 3], event: 'orders', id: '42'),
        'bare event' => new SseEvent('no name, no id'),
        'events' => [new SseEvent('one', id: '43'), new SseEvent('two', 'named')],
        'keyed events' => ['a' => new SseEvent('three'), 'b' => new SseEvent('four')],
        'mixed list' => ['five', null],
        'generator' => (static function (): Generator {
            yield 'six';
            yield null;
            yield ['seven'];
            yield 0 => new SseEvent('eight', 'named', '44');
        })(),
        'empty generator' => (static fn (): Generator => yield from [])(),
        default => $kind,
    };
}

/** Reads the data, and only then are they changed by somebody else, which the stream is told of. */
function changed_meanwhile(): string
{
    $shown = trim(told('shown'));
    $change = trim(told("after-$shown"));
    if ($change !== '') {
        file_put_contents(dirname(__DIR__, 2) . '/data/shown', $change);
        match ($_GET['by']) {
            'trigger' => SseTrigger::push($_GET['topics']) || throw new RuntimeException('the trigger was not taken'),
            'publish' => sse_publish($_GET['topics'], $change),
            'process' => another_process(trim(told('command')), $_GET['topics']),
        };
    }

    return $shown;
}

function another_process(string $command, string $topic): void
{
    exec("$command " . escapeshellarg($topic) . ' 2>&1', $output, $code);
    if ($code !== 0) {
        throw new RuntimeException("the process ended with $code: " . implode("\n", $output));
    }
}

function fail(string $how): mixed
{
    return match ($how) {
        'throw' => throw new RuntimeException('thrown by the callback'),
        'exit' => exit('left by exit'),
        'fatal' => no_such_function(),
        'memory' => str_repeat('x', PHP_INT_MAX >> 8),
        'nested' => sse_stream('other'),
        'handled' => (static function (): mixed {
            set_exception_handler(static function (Throwable $exception): void {
                http_response_code(409);
                header('Content-Type: text/plain');
                echo 'handled: ', $exception->getMessage();
            });

            echo 'noise before it';

            throw new LogicException('for the handler');
        })(),
        'unsendable' => new SseEvent(NAN),
    };
}

/** The end of a stream: of a kind, with what the file `shown` says as the last value. */
function theEnd(string $kind): mixed
{
    return match ($kind) {
        'value' => new SseEnd(trim(told('shown')), 'done'),
        'nothing' => new SseEnd(),
        'last of an array' => [new SseEvent(trim(told('shown')), 'done'), new SseEnd()],
        'last of a generator' => (static function (): Generator {
            yield new SseEvent(trim(told('shown')), 'done', 'own');
            yield new SseEnd();
            throw new LogicException('a generator goes no further than its end');
        })(),
    };
}
