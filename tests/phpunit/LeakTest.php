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
    /** KiB that a process may have grown; 10,000 streams that leak 100 bytes each make 976. */
    private const TOLERANCE = 900;

    /** @return array<string, array{string}> */
    public function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testDescriptorsAndMemoryAreTheSameAfterManyStreams(string $name): void
    {
        $count = (int) (getenv('SSE_SOAK_STREAMS') ?: 10_000);
        $server = $this->serve($name);
        $this->openAndClose($server, self::WARM_UP);
        $processes = $this->processes($server);
        $before = array_map([$this, 'measure'], $processes);

        $this->openAndClose($server, $count);

        self::assertSame($processes, $this->processes($server), 'the same processes as before');
        $this->awaitSameDescriptors($processes, $before);
        foreach ($processes as $title => $pid) {
            $grown = Proc::memory($pid) - $before[$title]['memory'];
            self::assertLessThan(self::TOLERANCE, $grown, "KiB that $title has grown from {$before[$title]['memory']}");
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
            Deadline::until(
                static fn (): bool => $server->openStreams() === 0,
                20.0,
                'all streams of the batch are gone',
                static fn (): string => json_encode($server->stats(), JSON_THROW_ON_ERROR),
            );
            // Each stream without a cookie has begun a session of its own.
            array_map('unlink', glob("{$server->folder->path}/sessions/*") ?: []);
        }
    }

    /** @return array<string, int> pids by what they are */
    private function processes(Server $server): array
    {
        $processes = ['hub' => $server->hub()];
        foreach ($server->workers() as $number => $pid) {
            $processes["worker $number"] = $pid;
        }

        return $processes;
    }

    /** @return array{descriptors: list<string>, memory: int} */
    private function measure(int $pid): array
    {
        return ['descriptors' => $this->kinds($pid), 'memory' => Proc::memory($pid)];
    }

    /** @return list<string> */
    private function kinds(int $pid): array
    {
        return preg_replace('/\d+/', 'N', Proc::descriptors($pid));
    }

    /**
     * @param array<string, int> $processes
     * @param array<string, array{descriptors: list<string>, memory: int}> $before
     */
    private function awaitSameDescriptors(array $processes, array $before): void
    {
        foreach ($processes as $title => $pid) {
            // The last requests' own connections may still be closing.
            Deadline::until(
                fn (): bool => $this->kinds($pid) === $before[$title]['descriptors'],
                5.0,
                "$title holds the same descriptors as before",
                fn (): string => json_encode([$before[$title]['descriptors'], $this->kinds($pid)], JSON_THROW_ON_ERROR),
            );
            self::assertSame($before[$title]['descriptors'], $this->kinds($pid), $title);
        }
    }
}
