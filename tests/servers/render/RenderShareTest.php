<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** Streams with the same key are rendered once for all of them. */
final class RenderShareTest extends RenderTestCase
{
    private const PATH = '/replay/page.php?topics=news&callback=value&share=key';

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'php-s-workers']);
    }

    /** @dataProvider servers */
    public function testAllGetTheOutputOfOneRun(string $name): void
    {
        $server = $this->serve($name);
        $streams = [$server->client->openOne(self::PATH)];
        $server->client->awaitEvents($streams[0], 1);
        $streams = [...$streams, ...$server->client->openMany(9, self::PATH)];

        foreach (['second', 'third'] as $nth => $data) {
            $server->publish('news', $data);
            foreach ($streams as $stream) {
                $server->client->awaitEvents($stream, $nth + 2);
            }
        }

        foreach ($streams as $stream) {
            self::assertSame("retry: 2000\n\ndata: first\n\ndata: second\n\ndata: third\n\n", $stream->response->body);
        }
        self::assertSame(['original', 'wake', 'wake'], $this->awaitRuns($server, 3));
    }

    /** @dataProvider servers */
    public function testANewStreamGetsTheLastOutputAtOnce(string $name): void
    {
        $server = $this->serve($name);
        $first = $server->client->openOne(self::PATH);
        $server->publish('news', 'second');
        $server->client->awaitEvents($first, 2);

        $new = $server->client->openOne(self::PATH);

        self::assertSame(['second'], $server->client->awaitEvents($new, 1));
        self::assertSame(['original', 'wake'], $this->awaitRuns($server, 2));
    }

    /** @dataProvider servers */
    public function testAnotherKeyOrScriptIsAnotherGroup(string $name): void
    {
        $server = $this->serve($name);
        $paths = [self::PATH . '&runs=a', self::PATH . '-2&runs=b', str_replace('page', 'again', self::PATH) . '&runs=c'];
        $streams = array_map(static fn (string $path): Stream => $server->client->openOne($path), $paths);
        foreach ($streams as $stream) {
            $server->client->awaitEvents($stream, 1);
        }

        $server->publish('news', 'second');

        foreach ($streams as $nth => $stream) {
            self::assertSame(['first', 'second'], $server->client->awaitEvents($stream, 2));
            self::assertSame(['original', 'wake'], $this->awaitRuns($server, 2, 'abc'[$nth]));
        }
    }

    /** @dataProvider servers */
    public function testAGroupDoesNotEndWithItsFirstMember(string $name): void
    {
        $server = $this->serve($name);
        $streams = $server->client->openMany(1, self::PATH);
        $server->client->awaitEvents($streams[0], 1);
        $streams = [...$streams, ...$server->client->openMany(2, self::PATH)];

        $streams[0]->close();
        $server->awaitOpenStreams(2);
        $server->publish('news', 'second');

        self::assertSame(['first', 'second'], $server->client->awaitEvents($streams[1], 2));
        self::assertSame(['first', 'second'], $server->client->awaitEvents($streams[2], 2));
        $streams[1]->close();
        $streams[2]->close();
        $server->awaitOpenStreams(0);
        $new = $server->client->openOne(self::PATH);
        self::assertSame(['first'], $server->client->awaitEvents($new, 1), 'the group has ended with its last');
        self::assertSame(['original', 'wake', 'original'], $this->awaitRuns($server, 3));
    }

    /** @dataProvider servers */
    public function testOneWhoIsDeniedEndsAloneAndTheOthersMissNothing(string $name): void
    {
        $server = $this->serve($name);
        $streams = [];
        foreach (['a', 'b', 'c'] as $who) {
            $streams[$who] = $server->client->openOne(self::PATH . "&gate=gate-$who");
            $server->client->awaitEvents($streams[$who], 1);
        }

        $this->tell($server, 'gate-b', '403');
        $sent = ['first'];
        do {
            $server->publish('news', $sent[] = 'event ' . count($sent));
            $server->client->awaitEvents($streams['a'], count($sent));
            $server->client->awaitEvents($streams['c'], count($sent));
            $server->client->read(0.01);
        } while (!$streams['b']->ended && count($sent) < 10);

        $this->awaitCleanEnd($server, $streams['b']);
        self::assertSame($sent, $streams['a']->data());
        self::assertSame($sent, $streams['c']->data());
        self::assertTrue($streams['a']->isOpen() && $streams['c']->isOpen());
        // Until its turn came, it had what the others had.
        self::assertSame(array_slice($sent, 0, count($streams['b']->data())), $streams['b']->data());
        $server->awaitClosed('denied', 1);
    }

    /** @dataProvider servers */
    public function testAPollIsOneRunForAll(string $name): void
    {
        $server = $this->serve($name);
        $path = '/replay/page.php?topics=news&callback=count&share=key&poll=0.3';
        $first = $server->client->openOne($path);
        $server->client->awaitEvents($first, 1);
        $others = $server->client->openMany(5, $path);

        $server->client->awaitEvents($first, 4);

        // The number in each output counts the runs of all.
        self::assertSame(['1', '2', '3', '4'], array_slice($first->data(), 0, 4));
        foreach ($others as $other) {
            $server->client->await($other, static fn () => in_array('4', $other->data(), true), 10.0, 'the fourth came');
            self::assertSame($other->data(), array_values(array_unique($other->data())));
        }
    }

    public function testWhereTheWorkersServeTheStreamsEachRunsItsOwnCallback(): void
    {
        $server = $this->serve('nginx-fpm-blocking', [], ['pm.max_children' => 3]);
        $streams = $server->client->openMany(2, self::PATH);

        $server->publish('news', 'second');

        foreach ($streams as $stream) {
            self::assertSame(['first', 'second'], $server->client->awaitEvents($stream, 2));
        }
        Deadline::until(fn (): bool => count($this->told($server)) === 4, 10.0, 'each has run twice');
    }
}
