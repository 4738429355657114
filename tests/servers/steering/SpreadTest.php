<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;

/** Events that each client is told at a moment of its own. */
final class SpreadTest extends RenderTestCase
{
    /** Milliseconds. A test that waits for all of it has failed. */
    private const LONGEST = 60_000;

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @return array<string, array{string}> */
    public static function allWays(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'nginx-fpm-blocking']);
    }

    /** @dataProvider allWays */
    public function testEachClientIsToldAtAMomentOfItsOwnAndInOrder(string $name): void
    {
        $server = $this->serve($name);
        $streams = $server->client->openMany($name === 'nginx-fpm-blocking' ? 1 : 20, '/stream.php?topics=news');

        $server->publish('news', 'within half a second', ['spread' => 500]);
        $server->publish('news', 'and this after it');

        $all = ['within half a second', 'and this after it'];
        $server->client->awaitAll($streams, static fn (Stream $stream): bool => $stream->data() === $all, 20.0, 'all are told');
        self::assertSame(count($streams), $server->stats()['spread']);
    }

    /** @dataProvider servers */
    public function testTheEndOfAStreamIsToldAfterWhatWaits(string $name): void
    {
        $server = $this->serve($name);
        $spread = $server->client->openOne('/steering/stream.php?topics=news&spread=' . self::LONGEST);
        $server->client->awaitEvents($spread, 1);
        $other = $server->client->openOne('/stream.php?topics=news');

        $server->publish('news', 'as the option says');
        $server->client->awaitEvents($other, 1);
        self::assertCount(1, $spread->data());
        $server->publish('news', 'as the argument says', ['spread' => self::LONGEST]);
        $server->json('/steering/deed.php?do=disconnect&topic=news');

        $this->awaitCleanEnd($server, $spread);
        $this->awaitCleanEnd($server, $other);
        self::assertSame(['as the option says', 'as the argument says'], array_slice($spread->data(), 1));
        self::assertSame(['as the option says', 'as the argument says'], $other->data());
    }
}
