<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/**
 * Streams that came and went leave nothing behind, in the workers or in the hub.
 *
 * @group soak
 */
final class LeakTest extends ServerTestCase
{
    private const BATCH = 200;
    /** Before anything is measured: allocators and caches reach their size. */
    private const WARM_UP = 2_000;
    /** KiB that a process may have grown; 10,000 streams that leak 64 bytes each make 625. */
    private const TOLERANCE = 600;
    /** Bytes a request that PHP's own server loses: the URI, wherever a script has looked at $_SERVER (PHP 8.2.35). */
    private const LOST_BY_PHP = 96;

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testDescriptorsAndMemoryAreTheSameAfterManyStreams(string $name): void
    {
        $count = (int) (getenv('SSE_SOAK_STREAMS') ?: 10_000);
        // The hub remembers a stream until its next heartbeat would be due.
        $server = $this->serve($name, ['sse.heartbeat' => 1]);
        $this->openAndClose($server, self::WARM_UP);
        $hub = $server->hub();
        $workers = $server->workers();
        $before = ['hub' => $this->kinds([$hub]), 'workers' => $this->kinds($workers)];
        $memory = array_map([Proc::class, 'memory'], [$hub, ...$workers]);

        $this->openAndClose($server, $count);

        self::assertSame([$hub, ...$workers], [$server->hub(), ...$server->workers()], 'the same processes as before');
        $this->awaitDescriptors('the hub holds the same descriptors as before', [$hub], $before['hub']);
        // All workers' together, since one of them may hold a connection that the web server keeps for later.
        $this->awaitDescriptors('the workers hold the same descriptors as before', $workers, $before['workers']);
        $lost = $name === 'php-s' ? intdiv($count * self::LOST_BY_PHP, 1024) : 0;
        foreach ([$hub, ...$workers] as $number => $pid) {
            $grown = Proc::memory($pid) - $memory[$number];
            $title = $number === 0 ? 'the hub' : "worker $number";
            $allowed = self::TOLERANCE + ($number === 0 ? 0 : $lost);
            self::assertLessThan($allowed, $grown, "KiB that $title has grown from $memory[$number]");
        }
    }

    private function openAndClose(Server $server, int $count): void
    {
        for ($opened = 0; $opened < $count; $opened += self::BATCH) {
            $streams = $server->client->openMany(self::BATCH, '/stream.php?topics=news,chat.**&before=session');
            $server->publish('news', "after $opened");
            foreach ($streams as $stream) {
                $server->client->awaitEvents($stream, 1);
                $stream->close();
            }
            $server->awaitOpenStreams(0, 20.0);
            // Each stream without a cookie has begun a session of its own.
            array_map('unlink', glob("{$server->folder->path}/sessions/*") ?: []);
        }
    }

    /**
     * @param list<int> $pids
     * @return list<string> what the processes' descriptors are, without the numbers of each
     */
    private function kinds(array $pids): array
    {
        $targets = array_merge(...array_map([Proc::class, 'descriptors'], $pids));
        $kinds = preg_replace('/\d+/', 'N', $targets);
        sort($kinds);

        return $kinds;
    }

    /**
     * @param list<int> $pids
     * @param list<string> $expected
     */
    private function awaitDescriptors(string $what, array $pids, array $expected): void
    {
        // The last requests' own connections may still be closing.
        $held = Deadline::until(
            fn (): ?array => $this->kinds($pids) === $expected ? $expected : null,
            5.0,
            $what,
            fn (): string => implode(' ', $this->kinds($pids)) . ' instead of ' . implode(' ', $expected),
        );
        self::assertSame($expected, $held);
    }
}
