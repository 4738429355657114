<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Server\Redis;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** sse.bus: servers that stand for several machines, each with a hub of its own, on one Redis. */
final class BusTest extends RenderTestCase
{
    private ?Redis $redis = null;

    protected function tearDown(): void
    {
        parent::tearDown();
        $this->redis?->stop();
    }

    public function testWhatIsPublishedOnOneMachineReachesTheStreamsOfAll(): void
    {
        [$a, $b] = $this->machines('nginx-fpm-unix', 'php-s');
        $streams = [[$a, $a->client->openOne('/stream.php?topics=news')], [$b, $b->client->openOne('/stream.php?topics=news')]];

        $ids = [...$a->publish('news', 'one'), ...$b->publish('news', 'two', ['id' => 'own']), ...$a->publish('news', 'three')];

        self::assertSame('own', $ids[1]);
        foreach ($streams as [$server, $stream]) {
            self::assertSame(['one', 'two', 'three'], $server->client->awaitEvents($stream, 3));
            self::assertSame($ids, array_map(static fn (Event $event): string => $event->id, $stream->parser->events));
        }
        self::assertNotSame($a->stats()['pid'], $b->stats()['pid']);
        self::assertSame(['connected', 1], [$b->stats()['bus']['state'], $b->stats()['bus']['published']]);
    }

    public function testAClientResumesOnAnotherMachine(): void
    {
        [$a, $b] = $this->machines('nginx-fpm-unix', 'php-s');
        [$id] = $a->publish('news', 'one');
        // What it has is newer than what the other machine may have read.
        for ($round = 0; $round < 20; $round++) {
            $stream = $b->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $id]);
            [$id] = $a->publish('news', "round $round");
            self::assertSame(["round $round"], $b->client->awaitEvents($stream, 1));
            $stream->close();
        }
        self::assertSame(0, $b->stats()['history']['gaps']);
    }

    public function testAWakeOnOneMachineRunsTheCallbacksOfAll(): void
    {
        [$a, $b] = $this->machines('php-s', 'nginx-fpm-unix');
        $stream = $b->client->openOne('/replay/page.php?topics=news&callback=events');
        self::assertSame(['[]'], $b->client->awaitEvents($stream, 1));

        $this->trigger($a, 'news');

        $told = json_decode($b->client->awaitEvents($stream, 2)[1], true);
        self::assertSame([['news', true]], array_map(static fn (array $one): array => [$one['topic'], $one['isTrigger']], $told));
    }

    public function testStreamsStayOpenWhileRedisIsAway(): void
    {
        [$a, $b] = $this->machines('nginx-fpm-unix', 'php-s', ['sse.timeout' => 1000]);
        $stream = $b->client->openOne('/stream.php?topics=news');
        $a->publish('news', 'before');
        $b->client->awaitEvents($stream, 1);
        $this->redis->signal(SIGSTOP);
        $this->awaitState('away', $a, $b);

        $error = $this->refused($a, 'too late');
        self::assertSame('SseUnavailable', $error['error']);
        $this->trigger($a, 'news');
        Deadline::until(static fn (): bool => $a->stats()['bus']['waiting'] === 0, 10.0, 'nothing waits without a publisher');

        $this->redis->signal(SIGCONT);
        $this->awaitState('connected', $a, $b);
        $a->publish('news', 'after');
        self::assertSame(['before', 'after'], $b->client->awaitEvents($stream, 2));
        self::assertSame([0, 0], [$a->stats()['bus']['gaps'], $b->stats()['bus']['gaps']]);
    }

    public function testARedisThatWasRestartedIsToldAsAGap(): void
    {
        [$a, $b] = $this->machines('nginx-fpm-unix', 'php-s', ['sse.bus_outage' => 'fail']);
        $stream = $b->client->openOne('/stream.php?topics=news');
        $a->publish('news', 'before');
        $b->client->awaitEvents($stream, 1);
        $this->redis->kill();
        $this->awaitState('away', $a, $b);

        $error = $this->refused($a, 'nobody gets this');
        self::assertStringStartsWith("sse.bus: Redis can't be reached: ", $error['message']);

        $this->redis->start();
        $this->awaitState('connected', $a, $b);
        $a->publish('news', 'after');
        $b->client->awaitEvents($stream, 3);
        self::assertSame(
            [['message', 'before'], ['gap', '{"oldest":null,"requested":null}'], ['message', 'after']],
            array_map(static fn (Event $event): array => [$event->name, $event->data], $stream->parser->events),
        );
        foreach ([$a, $b] as $server) {
            self::assertStringContainsString('the bus is there', $server->logs());
            self::assertStringNotContainsString(Redis::PASSWORD, $server->logs() . json_encode($server->stats()));
        }
    }

    public function testAHistoryOnDiskCantBeCombinedWithIt(): void
    {
        $commandLine = $this->commandLine(['sse.bus' => 'redis://127.0.0.1:1', 'sse.history' => 'sqlite:/tmp/none.db']);

        $said = $commandLine->run('publish.php', ['news', 'event'], [], [], 1);

        self::assertStringContainsString("sse.history: 'sqlite:/tmp/none.db' can't be combined with sse.bus", $said);
    }

    /**
     * @param array<string, string|int> $ini
     * @return array{Server, Server}
     */
    private function machines(string $one, string $other, array $ini = []): array
    {
        $this->redis = new Redis();
        $ini += ['sse.bus' => $this->redis->url('stream=site')];
        $servers = [$this->serve($one, $ini), $this->serve($other, $ini)];
        $this->awaitState('connected', ...$servers);

        return $servers;
    }

    private function awaitState(string $state, Server ...$servers): void
    {
        foreach ($servers as $server) {
            Deadline::until(
                static fn (): bool => $server->stats()['bus']['state'] === $state,
                20.0,
                "the bus is $state",
                static fn (): string => (string) json_encode($server->stats()['bus']),
            );
        }
    }

    /** @return array{error: string, message: string} */
    private function refused(Server $server, string $data): array
    {
        $response = $server->client->request('/publish.php', [], 'POST', http_build_query(['topic' => 'news', 'data' => $data]));
        self::assertSame(500, $response->status, $response->summary());

        return json_decode($response->body, true);
    }
}
