<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** Events for Datastar, as a client gets them. */
final class LibraryDatastarTest extends ServerTestCase
{
    public function testEachLineHasItsWordAndEachEventItsType(): void
    {
        $server = $this->serve('php-s', [], ['modules' => '']);
        $server->folder->copy(dirname(__DIR__, 3) . '/php/src/Datastar.php', 'Datastar.php');
        $server->folder->file('app/datastar.php', <<<'PHP'
            <?php
            require dirname(__DIR__) . '/Datastar.php';
            sse_stream('counter', fn (array $events) => [
                Sse\Datastar::elements("<p id=\"a\">\r\n1\r2\n</p>"),
                Sse\Datastar::elements('<li>3</li>', '#list', 'append'),
                Sse\Datastar::signals(['n' => 1, 'ü' => ['a/b', null]]),
                Sse\Datastar::signals([]),
            ]);
            PHP);

        $stream = $server->client->openOne('/datastar.php');
        $server->client->awaitEvents($stream, 4);

        self::assertSame(
            [
                ['datastar-patch-elements', "elements <p id=\"a\">\nelements 1\nelements 2\nelements </p>"],
                ['datastar-patch-elements', "selector #list\nmode append\nelements <li>3</li>"],
                ['datastar-patch-signals', 'signals {"n":1,"ü":["a/b",null]}'],
                ['datastar-patch-signals', 'signals {}'],
            ],
            array_map(static fn ($event): array => [$event->name, $event->data], $stream->parser->events),
        );
    }
}
