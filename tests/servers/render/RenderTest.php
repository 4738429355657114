<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** What a callback is told and what becomes of what it returns: the same wherever the stream is held. */
final class RenderTest extends RenderTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([
            ...Catalogue::EACH_SAPI,
            'apache-fcgi',
            'caddy-fpm',
            'php-s-workers',
            ...Catalogue::BLOCKING,
        ]);
    }

    /** @return array<string, array{string}> */
    public static function handOffServers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'apache-fcgi', 'caddy-fpm', 'php-s-workers']);
    }

    /** @dataProvider servers */
    public function testTheCallbackIsToldWhatHasHappenedSinceItsLastRun(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news.*,other&callback=events');
        self::assertSame(['[]'], $server->client->awaitEvents($stream, 1));

        $trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
        [$id] = $server->publish('elsewhere,news.a', '{"text":"one"}', ['event' => 'named', 'traceparent' => $trace]);
        $server->client->awaitEvents($stream, 2);
        $this->trigger($server, 'news.b');
        $server->client->awaitEvents($stream, 3);
        $server->publish('other', "two\nlines", ['id' => 'own']);
        $server->client->awaitEvents($stream, 4);

        $one = ['id' => $id, 'topic' => 'news.a', 'event' => 'named', 'data' => '{"text":"one"}', 'isTrigger' => false];
        $wake = ['id' => '', 'topic' => 'news.b', 'event' => null, 'data' => null, 'isTrigger' => true];
        $two = ['id' => 'own', 'topic' => 'other', 'event' => null, 'data' => "two\nlines", 'isTrigger' => false];
        $none = ['traceparent' => null];
        $events = [[], [$one + ['traceparent' => $trace]], [$wake + $none], [$two + $none]];
        self::assertSame($events, self::decoded($stream));
    }

    /** @dataProvider servers */
    public function testAllEventsAreToldOnceAndInOrderHoweverManyRunsItTakes(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=events');

        $ids = [...$server->publish('news', 'a', ['count' => 200]), ...$server->publish('news', 'b', ['count' => 200])];

        $all = static fn (): array => array_merge(...self::decoded($stream));
        $server->client->await($stream, static fn (): bool => count($all()) >= 400, 20.0, '400 events are told');
        self::assertSame($ids, array_column($all(), 'id'));
        self::assertSame(['a 1', 'b 200'], [$all()[0]['data'], $all()[399]['data']]);
    }

    /** @dataProvider servers */
    public function testWhatTheCallbackReturnsIsSent(string $name): void
    {
        $server = $this->serve($name);
        $sent = [
            'first' => "event: named by option\ndata: first\n\n",
            'string' => "event: named by option\ndata: a string\ndata: of two lines\n\n",
            'number' => "event: named by option\ndata: 42\n\n",
            'float' => "event: named by option\ndata: 0.5\n\n",
            'false' => "event: named by option\ndata: false\n\n",
            'empty string' => "event: named by option\ndata: \n\n",
            'list' => "event: named by option\ndata: [1,\"ü/\\\"\",null]\n\n",
            'map' => "event: named by option\ndata: {\"a\":{\"b\":true}}\n\n",
            'object' => "event: named by option\ndata: {\"c\":1.5}\n\n",
            'empty array' => "event: named by option\ndata: []\n\n",
            'null' => '',
            'event' => "event: orders\nid: 42\ndata: {\"total\":3}\n\n",
            'bare event' => "data: no name, no id\n\n",
            'events' => "id: 43\ndata: one\n\nevent: named\ndata: two\n\n",
            'keyed events' => "data: three\n\ndata: four\n\n",
            'mixed list' => "event: named by option\ndata: [\"five\",null]\n\n",
            'generator' => "event: named by option\ndata: six\n\nevent: named by option\ndata: [\"seven\"]\n\n"
                . "event: named\nid: 44\ndata: eight\n\n",
            'empty generator' => '',
            'last' => "event: named by option\ndata: last\n\n",
        ];
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=value&event=named+by+option');
        $runs = 1;
        foreach (array_slice(array_keys($sent), 1) as $kind) {
            $this->awaitRuns($server, $runs++);
            $server->publish('news', $kind);
        }
        $server->client->await(
            $stream,
            static fn () => str_ends_with($stream->response->body, "data: last\n\n"),
            10.0,
            'the last has come',
        );

        self::assertSame("retry: 2000\n\n" . implode('', $sent), self::sorted($stream->response->body));
    }

    /** The order of an event's fields is free. */
    private static function sorted(string $body): string
    {
        return preg_replace('/^(id: .*\n)(event: .*\n)/m', '$2$1', $body);
    }

    /** @dataProvider servers */
    public function testWhatHasNotChangedIsNotSentAgain(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=value');
        foreach (['same', 'same', 'null', 'same', 'other', 'same', 'last'] as $nth => $data) {
            $server->publish('news', $data);
            $this->awaitRuns($server, $nth + 2);
        }
        $server->client->awaitEvents($stream, 5);

        self::assertSame(['first', 'same', 'other', 'same', 'last'], $stream->data());
        self::assertCount(8, $this->told($server));
    }

    /** @dataProvider servers */
    public function testWhatHasNotChangedIsSentAgainIfThatIsWanted(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=value&only_changes=0');
        foreach (['same', 'same', 'null', 'same'] as $nth => $data) {
            $server->publish('news', $data);
            $this->awaitRuns($server, $nth + 2);
        }

        self::assertSame(['first', 'same', 'same', 'same'], $server->client->awaitEvents($stream, 4));
    }

    /** @dataProvider servers */
    public function testTheRunAtTheBeginningCanBeLeftOut(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=value&initial=0');
        self::assertSame([], $this->told($server));

        $server->publish('news', 'one');

        self::assertSame(['one'], $server->client->awaitEvents($stream, 1));
        self::assertSame("retry: 2000\n\ndata: one\n\n", $stream->response->body);
        self::assertCount(1, $this->told($server));
    }

    /** @dataProvider servers */
    public function testACallbackCanRunWithoutAWake(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=count&poll=0.1');

        self::assertSame(['1', '2', '3', '4'], array_slice($server->client->awaitEvents($stream, 4), 0, 4));
    }

    /** @dataProvider handOffServers */
    public function testTheHubTellsWhyItAsks(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=count&poll=0.5');
        $server->client->awaitEvents($stream, 2);
        $server->publish('news', 'event');
        $server->client->awaitEvents($stream, 3);

        $reasons = $this->awaitRuns($server, 3);
        self::assertSame('original', $reasons[0]);
        self::assertSame('poll', $reasons[1]);
        self::assertContains('wake', $reasons);
    }

    /** @dataProvider handOffServers */
    public function testNoWorkerIsBusyBetweenTwoRuns(string $name): void
    {
        $server = $this->serve($name);
        $streams = $server->client->openMany(20, '/replay/page.php?topics=news&callback=value');

        $server->publish('news', 'one');

        foreach ($streams as $stream) {
            self::assertSame(['first', 'one'], $server->client->awaitEvents($stream, 2));
        }
        $workers = array_map(static fn (string $line): int => (int) explode(' ', $line)[1], $this->told($server));
        self::assertSame([], array_diff($workers, $server->workers()));
        self::assertSame(20, $server->stats()['renders']['done']);
        // The scripts go on after sse_stream(), in the original request as in a replay, whose output may arrive before that.
        Deadline::until(
            static fn (): bool => substr_count($server->phpLog(), 'sse_stream returned true') === 40,
            10.0,
            'all scripts have gone on',
        );
    }

    /** @dataProvider servers */
    public function testWhatACallbackOutputsIsThrownAway(string $name): void
    {
        $server = $this->serve($name, ['display_errors' => 1, 'html_errors' => 0]);
        $stream = $server->client->open('/replay/page.php?topics=news&callback=noisy');
        $server->client->awaitEvents($stream, 1);
        foreach (['second', 'third'] as $nth => $data) {
            $server->publish('news', $data);
            $server->client->awaitEvents($stream, $nth + 2);
        }

        self::assertSame("retry: 2000\n\ndata: first\n\ndata: second\n\ndata: third\n\n", $stream->response->body);
        self::assertStringStartsWith('text/event-stream', $stream->response->headers['content-type']);
    }
}
