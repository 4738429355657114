<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;

/** Last values, which a stream gets first, and publications that happen once. */
final class ValuesTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, ...Catalogue::BLOCKING, ...Catalogue::POLYFILL]);
    }

    /** @dataProvider servers */
    public function testAStreamGetsTheLastValuesFirstAlsoWhenItComesBack(string $name): void
    {
        $server = $this->serve($name);
        $server->publish('sensors.a', 'old', ['retain' => 1]);
        $server->publish('sensors.a', 'a', ['retain' => 1]);
        $server->publish('sensors.b', 'b', ['retain' => 1]);
        $server->publish('sensors.c', 'gone', ['retain' => 1]);
        $server->publish('sensors.c', '', ['retain' => 1]);
        [$seen] = $server->publish('sensors.a', 'not retained');

        $stream = $server->client->openOne('/stream.php?topics=sensors.*&retained=1');
        $server->publish('sensors.b', 'live');
        self::assertSame(['a', 'b', 'live'], $server->client->awaitEvents($stream, 3));
        $stream->close();
        $server->awaitOpenStreams(0, 20.0);
        $again = $server->client->openOne('/stream.php?topics=sensors.*&retained=1', ['Last-Event-ID' => $seen]);

        self::assertSame(['a', 'b', 'live'], $server->client->awaitEvents($again, 3));
        self::assertSame(2, $server->stats()['retained']['topics']);
    }

    /** @dataProvider servers */
    public function testASecondPublicationWithAKeyPublishesNothing(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/stream.php?topics=orders');

        [$first] = $server->publish('orders', 'paid', ['key' => 'order-42-paid']);
        self::assertSame([$first], $server->publish('orders', 'paid again', ['key' => 'order-42-paid']));
        $server->publish('orders', 'late', ['key' => 'order-42-paid', 'mode' => 'commit']);
        $server->publish('orders', 'sent', ['key' => 'order-42-sent']);

        self::assertSame(['paid', 'sent'], $server->client->awaitEvents($stream, 2));
        self::assertSame(2, $server->stats()['published']);
    }
}
