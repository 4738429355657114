<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\FpmServer;
use PhpSse\Tests\Server\Haproxy;
use PhpSse\Tests\Server\NginxFpm;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\Redis;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/**
 * Three machines behind HAProxy are restarted one after the other, as docs/operations/several-machines.md says.
 * SSE_SOAK_CLIENTS=3000 for as many clients, each machine drained over ten seconds.
 *
 * @group soak
 */
final class RollingRestartTest extends ServerTestCase
{
    /** Clients of one process of PHP: more than it can select from is too many. */
    private const EACH = 750;
    private const PATH = '/stream.php?topics=news&retry=200';

    private ?Redis $redis = null;
    private ?Haproxy $proxy = null;

    protected function tearDown(): void
    {
        $this->proxy?->stop();
        parent::tearDown();
        $this->redis?->stop();
    }

    public function testEveryClientGetsEveryEventOnce(): void
    {
        $count = (int) (getenv('SSE_SOAK_CLIENTS') ?: 300);
        $over = $count > 1000 ? '10s' : '500ms';
        $this->redis = new Redis();
        $machines = [];
        for ($number = 0; $number < 3; $number++) {
            $ini = ['sse.bus' => $this->redis->url('stream=site'), 'sse.history_events' => 10_000];
            $machines[] = $this->serve('nginx-fpm-unix', $ini, ['streams' => $count, 'pm.max_children' => 4]);
        }
        array_walk($machines, $this->awaitBus(...));
        $this->proxy = new Haproxy($machines, $count);
        $programs = $this->commandLine(['sse.spawn' => 'off']);
        [$total, $enough] = ["{$programs->folder->path}/total", "{$programs->folder->path}/enough"];
        $address = "127.0.0.1:{$this->proxy->port}";
        $readers = [];
        for ($left = $count; $left > 0; $left -= self::EACH) {
            $each = (string) min(self::EACH, $left);
            $readers[] = $programs->start('returning-readers.php', [$address, self::PATH, $each, $total]);
        }
        foreach ($readers as $reader) {
            CommandLine::awaitOutput($reader, "open\n", 120.0);
        }
        $publisher = $programs->start('publish-through.php', [$address, 'news', $enough, $count > 1000 ? '250000' : '20000']);

        $ended = 0;
        $windows = [];
        foreach ($machines as $number => $machine) {
            self::assertInstanceOf(NginxFpm::class, $machine);
            // A request that is still on its way when the drain begins would be a stream after its end.
            Deadline::until(
                static fn (): bool => array_sum(array_map(static fn (Server $one): int => $one->openStreams(), $machines)) === $count,
                60.0,
                'all clients are back',
            );
            $begin = microtime(true);
            $ended += $said = $this->restart($machine, $number, $programs, $over);
            $windows[] = [$begin, $said];
        }
        touch($enough);
        self::assertSame(0, $publisher->awaitExit(60.0), $publisher->output());
        file_put_contents("$total.new", $publisher->output());
        rename("$total.new", $total);

        $result = $this->results($readers);
        self::assertSame(
            ['complete' => $count, 'wrong' => 0, 'ended' => $ended, 'refused' => 0],
            array_diff_key($result, ['returns' => 0]),
            'as many ends as sse drain has told of: nothing else ended any',
        );
        self::assertGreaterThanOrEqual($count, $ended);
        self::tell($result['returns'], $windows, (int) $publisher->output());
    }

    /** Returns how many streams were ended. */
    private function restart(NginxFpm $machine, int $number, CommandLine $programs, string $over): int
    {
        $hub = $machine->hub();
        $this->proxy->set($number, 'drain');
        $settings = ['sse.socket' => $machine->socket()];
        $drain = $programs->start(CommandLine::sse(), ['drain', "--over=$over", '--json'], $settings);
        self::assertSame(0, $drain->awaitExit(120.0), $drain->output());
        $said = json_decode(trim($drain->output()), true, 512, JSON_THROW_ON_ERROR);
        self::assertSame(0, $said['left']);
        self::assertGreaterThan(0, $said['ended']);

        Deadline::until(fn (): bool => $this->proxy->sessions($number) === 0, 20.0, 'nothing is under way to the machine');
        $machine->stopFpm();
        Deadline::until(static fn (): bool => !Proc::isAlive($hub), 20.0, 'the hub ends with PHP');
        $machine->restartNginx();
        $machine->startFpm();
        $this->awaitBus($machine);
        self::assertNotSame($hub, $machine->hub());
        $this->proxy->set($number, 'ready');

        return $said['ended'];
    }

    private function awaitBus(FpmServer $machine): void
    {
        Deadline::until(
            static fn (): bool => $machine->stats()['bus']['state'] === 'connected',
            20.0,
            'the hub is connected to Redis',
            static fn (): string => (string) json_encode($machine->stats()['bus']),
        );
    }

    /**
     * @param list<Process> $readers
     * @return array{complete: int, wrong: int, ended: int, refused: int, returns: list<float>}
     */
    private function results(array $readers): array
    {
        $sum = ['complete' => 0, 'wrong' => 0, 'ended' => 0, 'refused' => 0, 'returns' => []];
        foreach ($readers as $reader) {
            $reader->awaitExit(130.0);
            $said = json_decode((string) strrchr(trim($reader->output()), '{'), true, 512, JSON_THROW_ON_ERROR);
            foreach (['complete', 'wrong', 'ended', 'refused'] as $name) {
                $sum[$name] += $said[$name];
            }
            array_push($sum['returns'], ...$said['returns']);
        }

        return $sum;
    }

    /**
     * Prints how evenly the clients came back.
     *
     * @param list<float> $returns
     * @param list<array{float, int}> $windows when a drain began, and how many streams it has ended
     */
    private static function tell(array $returns, array $windows, int $events): void
    {
        foreach ($windows as $number => [$begin, $ended]) {
            $end = $windows[$number + 1][0] ?? INF;
            $here = array_filter($returns, static fn (float $time): bool => $time >= $begin && $time < $end);
            $slots = array_count_values(array_map(static fn (float $time): int => (int) ($time * 10), $here));
            $span = max($here) - min($here);
            fprintf(
                STDERR,
                "machine %d: %d streams ended; clients came back within %.1f s, at most %d in 100 ms, on average %.1f; %d events in all\n",
                $number + 1,
                $ended,
                $span,
                max($slots),
                count($here) / max(1.0, $span * 10),
                $events,
            );
        }
    }
}
