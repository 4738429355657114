<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;

/** Streams don't live for ever, and clients that lost theirs together don't all come back together. */
final class LifetimeTest extends RenderTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, ...Catalogue::BLOCKING]);
    }

    /** @dataProvider servers */
    public function testAStreamWhoseTimeIsOverEndsInGoodOrderAndIsResumed(string $name): void
    {
        $server = $this->serve($name);
        // There already when the stream begins: a busy machine may take the stream's second to publish one.
        [$before, $id] = $server->publish('news', 'event', ['count' => 2]);
        $stream = $server->client->openOne('/stream.php?topics=news&max_lifetime=1', ['Last-Event-ID' => $before]);
        $this->awaitCleanEnd($server, $stream);
        self::assertSame(['event 2'], $stream->data());
        $server->awaitClosed('lifetime', 1);

        $server->publish('news', 'two');
        $again = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $id]);

        self::assertSame(['two'], $server->client->awaitEvents($again, 1));
    }

    /** @dataProvider servers */
    public function testSoDoesOneWithACallback(string $name): void
    {
        $server = $this->serve($name, ['sse.max_lifetime' => 1]);
        $stream = $server->client->openOne('/replay/page.php?topics=rows&callback=count');

        $this->awaitCleanEnd($server, $stream);

        $server->awaitClosed('lifetime', 1);
        self::assertCount(1, $stream->parser->events);
    }

    public function testAClientMayAskForAnEarlierEndButForNoLaterOne(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.max_lifetime' => 2]);
        $begun = '/stream.php?topics=news';

        $this->awaitCleanEnd($server, $server->client->openOne("$begun&maxLifetime=1"));
        $this->awaitCleanEnd($server, $server->client->openOne("$begun&maxLifetime=86400"));

        $server->awaitClosed('lifetime', 2);
        // What is no number of seconds is no wish.
        $stream = $server->client->openOne('/stream.php?topics=news&max_lifetime=0&maxLifetime=-1');
        $server->publish('news', 'still here');
        self::assertSame(['still here'], $server->client->awaitEvents($stream, 1));
    }

    /** @return array<string, array{string}> */
    public static function kinds(): array
    {
        return Catalogue::each(['nginx-fpm-unix', 'nginx-fpm-blocking', 'php-s-polyfill']);
    }

    /** @dataProvider kinds */
    public function testALongPollEndsWithTheFirstEvents(string $name): void
    {
        $server = $this->serve($name);
        $path = '/stream.php?topics=news&longPoll=1';
        $id = $server->publish('news', 'before')[0];
        $waiting = $server->client->openOne($path, ['Last-Event-ID' => $id]);
        [$next] = $server->publish('news', 'one');
        $server->client->await($waiting, static fn ($stream): bool => $stream->ended, 20.0, 'the first event ends it');
        self::assertSame(['one'], $waiting->data(), $waiting->summary());

        $server->publish('news', 'two');
        $missed = $server->client->request($path, ['Last-Event-ID' => $next]);
        self::assertStringContainsString("\ndata: two\n", $missed->body, 'what was missed ends it');

        $placeless = $server->client->request($path);
        self::assertStringContainsString("\nid: ", $placeless->body, 'its place is all it waits for');
        self::assertStringNotContainsString('data:', $placeless->body);
    }

    public function testTheOptionCountsMoreThanTheSetting(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.max_lifetime' => 1]);
        $endless = $server->client->openOne('/stream.php?topics=news&max_lifetime=0');
        $this->awaitCleanEnd($server, $server->client->openOne('/stream.php?topics=news'));

        $server->publish('news', 'still here');

        self::assertSame(['still here'], $server->client->awaitEvents($endless, 1));
    }

    /** @return array<string, array{string, string}> */
    public static function pages(): array
    {
        return [
            'handed over' => ['nginx-fpm-unix', '/stream.php?topics=news&retry=1000'],
            'in the worker' => ['nginx-fpm-blocking', '/stream.php?topics=news&retry=1000'],
            'in the worker, with a callback' => ['nginx-fpm-blocking', '/replay/page.php?topics=news&retry=1000&callback=count'],
        ];
    }

    /** @dataProvider pages */
    public function testEachClientIsToldAnotherReconnectionTime(string $name, string $path): void
    {
        $server = $this->serve($name, ['sse.retry_jitter' => 50, 'sse.retry' => 1000], ['pm.max_children' => 22]);

        $streams = $server->client->openMany(20, $path);

        $told = array_map(static fn ($stream): ?int => $stream->parser->retry, $streams);
        self::assertGreaterThanOrEqual(1000, min($told));
        self::assertLessThanOrEqual(1500, max($told));
        self::assertGreaterThan(10, count(array_unique($told)), implode(', ', $told));
    }

    public function testClientsOfAHubThatEndsAreToldToComeBackOneAfterTheOther(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $streams = $server->client->openMany(200, '/stream.php?topics=news');
        // A client may see the first lines before its worker has let go; a hub that ends then has nothing to tell it.
        $server->awaitOpenStreams(200);

        posix_kill($server->hub(), SIGTERM);

        $server->client->awaitAll($streams, static fn ($stream): bool => $stream->ended, 20.0, 'all streams have ended');
        $told = array_map(static fn ($stream): ?int => $stream->parser->retry, $streams);
        self::assertGreaterThanOrEqual(2000, min($told));
        self::assertLessThanOrEqual(2000 + 2 * 200, max($told));
        self::assertGreaterThan(2200, max($told));
        self::assertGreaterThan(100, count(array_unique($told)));
        foreach ($streams as $stream) {
            self::assertTrue($stream->response->isComplete(), $stream->summary());
        }
    }
}
