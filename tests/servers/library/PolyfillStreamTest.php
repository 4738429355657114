<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;

/** Streams of the polyfill, each of which holds a worker: their bytes, how many there may be, and their end. */
final class PolyfillStreamTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function polyfills(): array
    {
        return Catalogue::each(Catalogue::POLYFILL);
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(['nginx-fpm-unix', ...Catalogue::POLYFILL]);
    }

    /**
     * What SSEManager reads: the topics of each event, the heartbeat, and from where the client can go on.
     *
     * @dataProvider servers
     */
    public function testTheBytesOfAStreamOfManyTopicsAreThoseOfTheExtension(string $name): void
    {
        $server = $this->serve($name);
        $server->folder->file('app/many.php', <<<'PHP'
            <?php
            sse_stream('news', options: ['topics_as' => $_GET['as'], 'retained' => true, 'heartbeat' => 12]);
            PHP);
        [$value] = $server->publish('news', 'the value', ['retain' => 1]);
        [$first] = $server->publish('news', 'one');
        [$second] = $server->publish('other,news', "two\nlines", ['event' => 'typed', 'retry' => 700]);
        $path = '/many.php?as=';

        $field = $server->client->openOne("{$path}field", ['Last-Event-ID' => $first]);
        $envelope = $server->client->openOne("{$path}envelope", ['Last-Event-ID' => $first]);
        $server->client->awaitAll(
            [$field, $envelope],
            static fn (Stream $one): bool => str_contains($one->response->body, 'reached'),
            20.0,
            'what was missed has been sent',
        );
        [$third] = $server->publish('news', 'three', ['finish' => 1]);

        foreach ([$field, $envelope] as $stream) {
            $server->client->await($stream, static fn (Stream $one): bool => $one->ended, 20.0, 'the topic is finished');
        }
        self::assertSame(
            "retry: 2000\n\nheartbeat: 12000\ncursor: $second\n\n"
            . "topic: news\nretained: $value\ndata: the value\n\n"
            . "topic: news\nid: $second\nevent: typed\nretry: 700\ndata: two\ndata: lines\n\n"
            . "id: $second\nreached: $second\n\n"
            . "topic: news\nfinished: 1\nid: $third\ndata: three\n\n",
            $field->response->body,
        );
        self::assertSame(
            "retry: 2000\n\ndata: {\"cursor\":\"$second\"}\n\n"
            . "data: {\"data\":\"the value\",\"event\":null,\"topics\":[\"news\"],\"retained\":\"$value\"}\n\n"
            . "id: $second\nretry: 700\ndata: {\"data\":\"two\\nlines\",\"event\":\"typed\",\"topics\":[\"news\"]}\n\n"
            . "id: $second\ndata: {\"reached\":\"$second\"}\n\n"
            . "id: $third\ndata: {\"data\":\"three\",\"event\":null,\"topics\":[\"news\"],\"finished\":true}\n\n",
            $envelope->response->body,
        );
    }

    /** Clients that lost their streams together do not come back together. */
    public function testReconnectionTimesAreSpread(): void
    {
        $commandLine = $this->commandLine(['sse.retry' => 10_000, 'sse.retry_jitter' => 50], isPolyfill: true);
        $code = <<<'PHP'
            $settings = new Sse\Polyfill\Settings();
            $options = static fn () => new Sse\Polyfill\StreamOptions('news', [], false, $settings);
            $times = array_map(static fn () => $options()->retry, range(1, 200));
            echo json_encode([min($times) >= 10_000, max($times) <= 15_000, count(array_unique($times)) > 50]);
            PHP;

        self::assertSame('[true,true,true]', $commandLine->run($code));
    }

    /** Attack: a client holds all workers by as many streams. Those beyond the limits end at once, and lose nothing. */
    public function testStreamsBeyondTheLimitHoldNoWorker(): void
    {
        $server = $this->serve('nginx-fpm-polyfill', ['sse.polyfill_streams' => 3, 'sse.polyfill_streams_per_ip' => 2]);
        $server->client->openMany(2, '/stream.php?topics=news');

        $third = $server->client->open('/stream.php?topics=news');
        $server->client->await($third, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the third one ends');

        self::assertSame(2, $server->openStreams());
        self::assertSame(1, preg_match('/^retry: 1000\nid: (\d{13}-\d+)\n\n$/D', $third->response->body, $found));
        $server->publish('news', 'meanwhile');
        $again = $server->client->open('/stream.php?topics=news', ['Last-Event-ID' => $found[1]]);
        $server->client->await($again, static fn (Stream $stream): bool => $stream->ended, 20.0, 'it ends again');
        self::assertSame(['meanwhile'], $again->data());
    }

    /** The attack: a client without a place asks for all that is kept, and reads it slowly. */
    public function testAStreamBeyondTheLimitIsSentWhatItMissedInParts(): void
    {
        $server = $this->serve('nginx-fpm-polyfill', ['sse.polyfill_streams' => 0]);
        [$first] = $server->publish('news', 'first');
        for ($nth = 0; $nth < 30; $nth++) {
            $server->publish('news', str_repeat(chr(97 + $nth % 26), $nth === 20 ? 200_000 : 10_000));
        }
        $got = [];
        for ($last = $first, $parts = 0; count($got) < 30; $parts++) {
            self::assertLessThan(15, $parts);
            $stream = $server->client->open('/stream.php?topics=news', ['Last-Event-ID' => $last]);
            $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'a part ends');
            $data = $stream->data();
            self::assertNotSame([], $data);
            self::assertTrue(count($data) === 1 || strlen(implode('', $data)) <= 65_536);
            array_push($got, ...$data);
            self::assertSame(1, preg_match('/.*\nid: (\d{13}-\d+)\n/s', $stream->response->body, $found));
            $last = $found[1];
        }

        self::assertGreaterThan(4, $parts);
        self::assertSame([10_000, 200_000], [strlen($got[19]), strlen($got[20])]);
    }

    /** @return array<string, array{string, array<string, int>, int}> */
    public static function fewWorkers(): array
    {
        return [
            'PHP-FPM with three workers' => ['nginx-fpm-unix', ['pm.max_children' => 3], 1],
            'php -S with two workers' => ['php-s', ['workers' => 2], 0],
        ];
    }

    /**
     * Attack: a visitor of a site that has set nothing opens as many streams as there are workers. They hold half of PHP-FPM's,
     * two at most, and none of those of php -S, which take further requests before they begin with one.
     *
     * @dataProvider fewWorkers
     */
    public function testStreamsLeaveWorkersWhereNothingIsSet(string $name, array $options, int $most): void
    {
        $server = $this->serve($name, [], $options + ['polyfill' => 1]);
        $streams = [];
        for ($i = 0; $i < 6; $i++) {
            $streams[] = $server->client->open('/stream.php?topics=news');
        }
        $has = static fn (Stream $stream): bool => $stream->ended || $stream->response->body !== '';
        foreach ($streams as $stream) {
            $server->client->await($stream, $has, 20.0, 'the stream has begun');
        }

        self::assertSame($most, $server->openStreams());
        self::assertSame(1, substr_count($server->phpLog(), "holds a PHP worker, and $most may (sse.polyfill_streams)"));
    }

    /** Attack: many requests at once, while which PHP-FPM sometimes does not say how many workers it has. */
    public function testTheNumberOfWorkersIsKnownHoweverManyAsk(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['pm.max_children' => 3, 'polyfill' => 1]);
        $server->folder->file('app/workers.php', <<<'PHP'
            <?php
            $workers = new Sse\Polyfill\Workers(new Sse\Polyfill\Settings());
            for ($i = 0; $i < 5000; $i++) {
                $most[$workers->mostStreams()] = true;
            }
            echo json_encode(array_keys($most));
            PHP);

        $answers = array_map(static fn (): Stream => $server->client->open('/workers.php'), range(1, 3));
        $server->client->awaitAll($answers, static fn (Stream $answer): bool => $answer->ended, 30.0, 'all have answered');

        self::assertSame(['[1]', '[1]', '[1]'], array_map(static fn (Stream $answer): string => $answer->response->body, $answers));
    }

    /** A socket of IPv6 has IPv4 addresses as ::ffff:192.0.2.1, which are not all one client's. */
    public function testStreamsAreCountedByClientWhateverTheSocket(): void
    {
        $code = <<<'PHP'
            $settings = new Sse\Polyfill\Settings(
                ['polyfill_folder' => $argv[1], 'polyfill_streams' => 10, 'polyfill_streams_per_ip' => 1],
            );
            $folder = new Sse\Polyfill\Folder($settings);
            foreach (
                ['::ffff:192.0.2.1', '::ffff:192.0.2.2', '192.0.2.1', '192.0.2.3', '::ffff:c000:203', '2001:db8::1', '2001:db8::2',
                    '2001:db8:0:1::1', '::1'] as $address
            ) {
                $slots[] = $slot = new Sse\Polyfill\Slots($folder, $settings);
                $taken[] = $slot->take($address);
            }
            echo json_encode($taken);
            PHP;
        $commandLine = $this->commandLine(isPolyfill: true);

        $taken = json_decode($commandLine->run($code, [$commandLine->hubFolder]), true);

        self::assertSame([true, true, false, true, false, true, false, true, true], $taken);
    }

    /** `php -S` alone answers one request at a time: a stream would be the only one. */
    public function testTheOnlyProcessIsHeldByNoStream(): void
    {
        $server = $this->serve('php-s', [], ['polyfill' => 1]);

        $stream = $server->client->open('/stream.php?topics=news');
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');

        self::assertSame(1, preg_match('/^retry: 1000\nid: (\d{13}-\d+)\n\n$/D', $stream->response->body, $found));
        $server->publish('news', 'meanwhile');
        $again = $server->client->request('/stream.php?topics=news', ['Last-Event-ID' => $found[1]]);
        self::assertStringContainsString('data: meanwhile', $again->body);
    }

    /** @dataProvider polyfills */
    public function testAStreamEndsAfterItsTimeAndItsWorkerIsFree(string $name): void
    {
        $server = $this->serve($name, ['sse.polyfill_lifetime' => 1]);

        $stream = $server->client->openOne('/stream.php?topics=news');
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');

        $server->awaitLog('sse_stream returned false');
        self::assertSame(0, $server->openStreams());
    }

    /**
     * @dataProvider servers
     */
    public function testALastEventIdInAnyBytesIsAGap(string $name): void
    {
        $server = $this->serve($name);
        $server->publish('news', 'one');

        $stream = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => "a\xFFb"]);
        $server->publish('news', 'two');

        self::assertSame('two', $server->client->awaitEvents($stream, 3)[2]);
        self::assertSame("a\u{FFFD}b", json_decode($stream->data()[0], true)['requested']);
    }

    /** @dataProvider polyfills */
    public function testACallbackIsRunForEventsAndNotifications(string $name): void
    {
        $server = $this->serve($name);
        $server->folder->file('app/callback.php', <<<'PHP'
            <?php
            sse_stream(['orders.*', 'tables'], fn (array $events): string => json_encode(array_map(
                static fn (SseEvent $event): array => [$event->topic, $event->data, $event->isTrigger],
                $events,
            )));
            PHP);
        $server->folder->file('app/push.php', '<?php echo json_encode([SseTrigger::push("tables", "others")]);');

        $stream = $server->client->openOne('/callback.php');
        $server->client->awaitEvents($stream, 1);
        $server->publish('orders.1', 'paid');
        $server->client->awaitEvents($stream, 2);
        self::assertSame([true], $server->json('/push.php'));

        self::assertSame(
            ['[]', '[["orders.1","paid",false]]', '[["tables",null,true]]'],
            $server->client->awaitEvents($stream, 3),
        );
    }

    /** A process that serves many requests, as FrankenPHP's workers do, streams in each of them, and once in each. */
    public function testEachRequestOfAProcessHasAStreamOfItsOwn(): void
    {
        $code = <<<'PHP'
            foreach ([1.0, 1.0, 2.0] as $request) {
                $_SERVER['REQUEST_TIME_FLOAT'] = $request;
                try {
                    $answers[] = sse_stream('news', fn () => new SseEnd());
                } catch (SseException $refusal) {
                    $answers[] = $refusal->getMessage();
                }
                while (ob_get_level() > 0) {
                    ob_end_clean();
                }
            }
            echo json_encode($answers);
            PHP;

        $answers = json_decode($this->commandLine(isPolyfill: true)->run($code), true);

        self::assertSame([false, false], [$answers[0], $answers[2]]);
        self::assertStringContainsString('is a stream already; call sse_stream() once', $answers[1]);
    }
}
