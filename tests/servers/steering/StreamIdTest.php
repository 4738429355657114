<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;

/** A page is told the public id of its stream first, and the script knows it as well. */
final class StreamIdTest extends RenderTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, ...Catalogue::BLOCKING, ...Catalogue::POLYFILL]);
    }

    /** @dataProvider servers */
    public function testTheIdIsToldFirstAndAClientThatComesBackGetsAnother(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/steering/stream.php?topics=news');
        $first = $this->idOf($server, $stream);
        [$seen] = $server->publish('news', 'seen');
        $server->client->awaitEvents($stream, 2);
        $stream->close();
        $server->awaitOpenStreams(0);
        $server->publish('news', 'missed');

        $back = $server->client->openOne('/steering/stream.php?topics=news', ['Last-Event-ID' => $seen]);

        self::assertNotSame($first, $this->idOf($server, $back));
        self::assertSame('missed', $server->client->awaitEvents($back, 2)[1]);
    }

    /** @dataProvider servers */
    public function testACallbackKnowsTheIdInEachRun(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/steering/stream.php?topics=news&render=1');
        $id = $this->idOf($server, $stream);
        $server->publish('news', 'x');

        $events = $server->client->awaitEvents($stream, 3);

        $runs = array_map(static fn (string $data): array => json_decode($data, true), array_slice($events, 1));
        self::assertSame([$id, $id], array_column($runs, 'stream'));
        self::assertNull($runs[0]['replay']);
        self::assertContains($runs[1]['replay'], in_array($name, [...Catalogue::BLOCKING, ...Catalogue::POLYFILL], true) ? [null] : [$id]);
    }

    public function testAStreamThatTellsTopicsTellsItsIdBeforeThem(): void
    {
        foreach (['field', 'envelope'] as $format) {
            $server = $this->serve('nginx-fpm-unix');
            $this->idOf($server, $server->client->openOne("/steering/stream.php?topics=news&topics_as=$format"));
        }
    }

    private function idOf(Server $server, Stream $stream): string
    {
        $server->client->awaitEvents($stream, 1);
        $event = $stream->parser->events[0];
        self::assertInstanceOf(Event::class, $event);
        self::assertSame('stream', $event->name);
        $data = json_decode($event->data, true, 512, JSON_THROW_ON_ERROR);
        self::assertSame(['stream'], array_keys($data));
        self::assertMatchesRegularExpression('/^[A-Za-z0-9_-]{22}$/', $data['stream']);

        return $data['stream'];
    }
}
