<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** A client that was away gets exactly what it has missed, or is told that it can't. */
final class HistoryTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, ...Catalogue::BLOCKING, ...Catalogue::POLYFILL]);
    }

    /** @dataProvider servers */
    public function testAClientThatReconnectsGetsWhatItHasMissedOnceAndInOrder(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/stream.php?topics=news,chat.*');
        $server->publish('news', 'one');
        $server->publish('chat.a', 'two');
        $server->client->awaitEvents($stream, 2);
        $last = $stream->parser->events[1]->id;
        $this->leave($server, $stream);

        $server->publish('chat.b', 'three');
        $server->publish('other', 'not asked for');
        $server->publish('news', 'four');
        $again = $server->client->openOne('/stream.php?topics=news,chat.*', ['Last-Event-ID' => $last]);
        $server->publish('news', 'five');

        self::assertSame(['three', 'four', 'five'], $server->client->awaitEvents($again, 3));
        self::assertSame(0, $server->stats()['history']['gaps']);
    }

    /** @return iterable<string, array{string, array<string, string>}> */
    public static function waysToSayIt(): iterable
    {
        yield 'the header' => ['', ['Last-Event-ID' => '%s']];
        yield 'the parameter' => ['&lastEventId=%s', []];
        yield 'the option' => ['&since=%s', []];
        yield 'the option, whatever the header says' => ['&since=%s', ['Last-Event-ID' => 'another']];
        yield 'the header, whatever the parameter says' => ['&lastEventId=another', ['Last-Event-ID' => '%s']];
    }

    /**
     * @dataProvider waysToSayIt
     * @param array<string, string> $headers
     */
    public function testTheIdIsTakenFromTheOptionTheHeaderOrTheParameter(string $query, array $headers): void
    {
        $server = $this->serve('nginx-fpm-unix');
        [$id] = $server->publish('news', 'one');
        $server->publish('news', 'two');
        $path = '/stream.php?topics=news' . sprintf($query, $id);

        $stream = $server->client->openOne($path, array_map(static fn (string $text): string => sprintf($text, $id), $headers));

        $server->publish('news', 'three');
        self::assertSame(['two', 'three'], $server->client->awaitEvents($stream, 2));
    }

    public function testAClientIsToldWhatIsNoLongerKept(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.history_events' => 2]);
        $ids = array_map(static fn (string $data): string => $server->publish('news', $data)[0], ['1', '2', '3', '4']);

        $late = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $ids[0]]);
        $inTime = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $ids[1]]);

        $server->client->awaitEvents($late, 3);
        self::assertEquals(
            ['gap', json_encode(['oldest' => $ids[2], 'requested' => $ids[0]])],
            [$late->parser->events[0]->name, $late->data()[0]],
        );
        self::assertSame(['3', '4'], array_slice($late->data(), 1));
        self::assertSame(['3', '4'], $server->client->awaitEvents($inTime, 2));
    }

    public function testAClientOfAHubThatDiedIsToldOfTheGap(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        [$id] = $server->publish('news', 'before');
        $hub = $server->hub();
        posix_kill($hub, SIGKILL);
        Deadline::until(static fn (): bool => $server->stats()['pid'] !== $hub, 10.0, 'another hub has taken over');

        $stream = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $id]);
        $server->publish('news', 'after');

        $server->client->awaitEvents($stream, 2);
        self::assertSame(['gap', 'message'], array_map(static fn (Event $event): string => $event->name, $stream->parser->events));
    }

    public function testWithoutHistoryNothingIsKept(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.history' => 'off']);
        [$id] = $server->publish('news', 'one');
        $server->publish('news', 'two');

        $stream = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $id]);
        $server->publish('news', 'three');

        $server->client->awaitEvents($stream, 2);
        self::assertSame(['gap', 'message'], array_map(static fn (Event $event): string => $event->name, $stream->parser->events));
        self::assertSame(0, $server->stats()['history']['bytes']);
    }

    private function leave(Server $server, Stream $stream): void
    {
        $stream->close();
        $server->awaitOpenStreams(0, 20.0);
    }
}
