<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Proc;

/** What publishing waits for, and what it says when the hub does not answer. */
final class PublishModeTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testAStoppedHubIsWaitedForOnceARequest(string $name): void
    {
        $server = $this->serve($name, ['sse.timeout' => 300]);
        $server->client->openOne('/stream.php?topics=news');

        $answer = self::whileStopped($server, '/hub-away.php?calls=4&mode=ack');

        self::assertMatchesRegularExpression('/^SseUnavailable: the hub did not answer within \d+ms \(sse\.timeout\); it is '
            . 'not known whether it took the request, which may still be done$/', $answer['said'][0]);
        foreach (array_slice($answer['said'], 1) as $said) {
            self::assertMatchesRegularExpression('/^SseUnavailable: the hub did not answer within 1ms .*; earlier calls '
                . 'of this request have waited for the hub already$/', $said);
        }
        // There is room in its socket, and nobody waits.
        self::assertTrue($answer['pushed']);
        // All is well again with the next request.
        self::assertCount(1, $server->publish('news', 'awake'));
    }

    /** @dataProvider servers */
    public function testAsyncWaitsOnceARequestForAStoppedHubWhoseSocketIsFull(string $name): void
    {
        $server = $this->serve($name, ['sse.timeout' => 300]);
        $stream = $server->client->openOne('/stream.php?topics=news');

        $answer = self::whileStopped($server, '/hub-away.php?calls=3500&mode=async');

        $taken = array_keys($answer['said'], '', true);
        $refused = array_diff_key($answer['said'], array_flip($taken));
        self::assertNotSame([], $taken);
        self::assertSame(
            ["SseUnavailable: the hub's socket is full, as it is stopped or can't keep up; nothing was sent"],
            array_values(array_unique($refused)),
        );
        // A wake waits for nothing at all.
        self::assertFalse($answer['pushed']);
        // What was taken arrives, once and in order; what was refused does not.
        $expected = array_map(static fn (int $i): string => 'call ' . ($i + 1), $taken);
        $server->client->awaitEvents($stream, count($expected));
        // By another worker, maybe: the hub reads the connections of several in turn.
        $server->publish('news', $expected[] = 'the last');
        self::assertSame($expected, $server->client->awaitEvents($stream, count($expected)));
    }

    /** @dataProvider servers */
    public function testAnAsyncEventLargerThanTheSocketArrives(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/stream.php?topics=news');

        $large = str_repeat('x', 900_000);
        $fields = ['mode' => 'async', 'id' => 'mine'];
        self::assertSame(['mine'], $server->publish('news', $large, $fields));

        self::assertSame([$large], $server->client->awaitEvents($stream, 1));
    }

    public function testAsyncStartsAHubWhereNoneRunsAndSaysWhereItMayNot(): void
    {
        $commandLine = $this->commandLine();
        $code = "echo var_export(sse_publish('a', 'x', mode: 'async'), true), ' ', sse_stats()['published'];";

        self::assertSame("'' 1", $commandLine->run($code));
        $said = $commandLine->run(
            "try { sse_publish('a', 'x', mode: 'async'); } catch (SseUnavailable \$e) { echo \$e->getMessage(); }",
            [],
            ['sse.spawn' => 'off', 'sse.namespace' => 'other'],
        );
        self::assertStringContainsString('sse.spawn is off', $said);
    }

    public function testWhatNobodyWaitsForIsRefusedInTheHubsLogAndCounted(): void
    {
        $commandLine = $this->commandLine();
        $hub = $commandLine->startHub(['sse.max_event_size' => 10]);
        $code = "sse_publish('a', 'confidential data', mode: 'async'); echo sse_stats()['publish_refused'];";

        self::assertSame('1', $commandLine->run($code));
        self::assertStringContainsString('an event was refused', $hub->output());
        self::assertStringNotContainsString('confidential', $hub->output());
    }

    /** @return array{said: list<string>, pushed: bool} */
    private static function whileStopped(Server $server, string $path): array
    {
        return Proc::whileStopped($server->hub(), static fn (): array => $server->json($path));
    }
}
