<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Support\Deadline;

/** Renders are bounded, and every stream gets its turn. */
final class RenderFairnessTest extends ServerTestCase
{
    public function testTenThousandWakesOfAHundredStreamsAreFewRendersAndTheLastStateArrives(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        file_put_contents($server->folder->folder('data', 0777) . '/state', 'one');
        $streams = $server->client->openMany(100, '/render/moody.php');
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);

        $commandLine->run('wake-often.php', ['state', '10000', "{$server->folder->path}/data/state"]);

        $server->client->awaitAll(
            $streams,
            static fn (Stream $stream): bool => in_array('10000', $stream->data(), true),
            30.0,
            'the last state has come',
        );
        $renders = Deadline::until(
            static function () use ($server): array|false {
                $renders = $server->stats()['renders'];

                return $renders['queued'] + $renders['running'] === 0 ? $renders : false;
            },
            10.0,
            'the queue is empty',
        );
        // Each render costs a request; so many more wakes came that they were answered by the same ones.
        self::assertGreaterThan(10 * $renders['done'], $renders['coalesced']);
        self::assertSame(0, $renders['failed']);
    }

    public function testABusyTopicDoesNotKeepTheStreamsOfAnotherWaiting(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.render_concurrency' => 1]);
        $busy = $server->client->openMany(50, '/render/clock.php?topic=busy');
        $quiet = $server->client->openOne('/render/clock.php?topic=quiet');
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);
        $waker = $commandLine->start('while (true) { SseTrigger::push("busy"); usleep(100); }');
        // From here on one of them is always due.
        $server->client->awaitAll(
            $busy,
            static fn (Stream $stream): bool => count($stream->data()) >= 3,
            20.0,
            'the busy streams are rendered again and again',
        );
        $before = array_sum(array_map(static fn (Stream $stream): int => count($stream->data()), $busy));

        $commandLine->run('SseTrigger::push("quiet") || exit(1);');
        $server->client->awaitEvents($quiet, 2);

        self::assertTrue($waker->isRunning());
        $server->client->awaitAll(
            $busy,
            static fn (Stream $stream): bool => count($stream->data()) >= 4,
            20.0,
            'the busy streams go on as well',
        );
        self::assertGreaterThan($before, array_sum(array_map(static fn (Stream $s): int => count($s->data()), $busy)));
    }

    /** The attack: with his own session locked, a visitor's streams would take all places and everybody else would wait. */
    public function testAVisitorWhoKeepsHisSessionLockedDelaysNobodyElse(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.render_concurrency' => 2], ['pm.max_children' => 8]);
        $data = $server->folder->folder('data', 0777);
        $cookie = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];
        $evil = [];
        foreach (['', '; a=1', '; a=2'] as $more) {
            $evil[] = $server->client->openOne('/render/locked.php?topic=evil', ['Cookie' => $cookie['Cookie'] . $more]);
        }
        $victims = $server->client->openMany(4, '/render/clock.php?topic=victim');
        foreach ([...$evil, ...$victims] as $stream) {
            $server->client->awaitEvents($stream, 1);
        }
        $holds = $server->client->open('/render/locked.php?hold=1', $cookie);
        Deadline::until(static fn (): bool => is_file("$data/held") || $server->client->read(0.01) && false, 10.0, 'the session is locked');

        $server->json('/trigger.php?topic=evil');
        Deadline::until(
            static fn (): bool => $server->stats()['renders']['running'] > 0,
            10.0,
            'a render waits for the session',
        );
        for ($wake = 2; $wake <= 4; $wake++) {
            $server->json('/trigger.php?topic=victim');
            foreach ($victims as $victim) {
                $server->client->awaitEvents($victim, $wake);
            }
        }

        foreach ($evil as $stream) {
            self::assertCount(1, $stream->data());
        }
        touch("$data/release");
        foreach ($evil as $stream) {
            $server->client->awaitEvents($stream, 2);
        }
        self::assertSame(0, $server->stats()['renders']['failed']);
        $holds->close();
    }

    /** Laravel's and Symfony's kernels end their response early, and go on: that takes a worker as well. */
    public function testWhatAScriptDoesAfterItsResponseKeepsItsPlace(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.render_concurrency' => 2], ['pm.max_children' => 8]);
        $data = $server->folder->folder('data', 0777);
        $streams = $server->client->openMany(12, '/render/afterwards.php');

        $server->json('/trigger.php?topic=afterwards');
        foreach ($streams as $stream) {
            $server->client->awaitEvents($stream, 2);
        }

        $atOnce = file("$data/at-once", FILE_IGNORE_NEW_LINES);
        self::assertCount(12, $atOnce);
        // A script that has not got to its stream after a second has given its place up.
        self::assertLessThanOrEqual(4, max($atOnce), implode(' ', $atOnce));
    }

    public function testSitesWithNamespacesRenderInTheirOwnHub(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['namespaces' => 'a|b']);
        $one = $server->client->openOne('/a/render/clock.php?topic=time');
        $two = $server->client->openOne('/b/render/clock.php?topic=time');

        $server->client->request('/a/trigger.php?topic=time');
        $server->client->awaitEvents($one, 2);
        $server->client->request('/b/trigger.php?topic=time');
        $server->client->awaitEvents($two, 2);

        self::assertCount(2, $one->data());
        foreach (['a', 'b'] as $site) {
            $renders = Deadline::until(
                static function () use ($server, $site): array|false {
                    $renders = $server->json("/$site/stats.php")['renders'];

                    return $renders['running'] === 0 ? $renders : false;
                },
                10.0,
                'no render is under way',
            );
            self::assertSame([1, 1, 0], [$renders['streams'], $renders['done'], $renders['failed']]);
        }
    }
}
