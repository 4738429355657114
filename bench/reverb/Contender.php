<?php

declare(strict_types=1);

namespace PhpSse\Bench\Reverb;

use Closure;
use PhpSse\Tests\Support\Proc;

/** One of those that are compared: its processes, how its clients connect, and how an event is published. */
final class Contender
{
    /** In which Reverb looks after its idle connections, which it does once a minute. */
    private const IDLE = 65;

    /**
     * @param array<string, list<int>>  $processes By what they are.
     * @param Closure(): Connections    $open
     * @param Closure(): float          $publish   Milliseconds of the processor that one event has taken its publisher.
     */
    public function __construct(
        private readonly string $name,
        private readonly array $processes,
        private readonly Closure $open,
        private readonly Closure $publish,
    ) {
    }

    public function measure(int $connections, int $events): void
    {
        $memory = $this->each(Proc::memory(...));
        $open = ($this->open)();
        $grown = $this->each(Proc::memory(...));
        $before = $this->each(self::processor(...));
        sleep(self::IDLE);
        $idle = $this->each(self::processor(...));
        $published = ($this->publish)();
        $open->awaitEvents($connections * $events);
        $used = $this->each(self::processor(...));
        $open->close();
        foreach ($this->processes as $process => $pids) {
            printf(
                "| %s | %s | %.1f | %.0f | %.1f | %.2f |\n",
                $this->name,
                $process,
                ($grown[$process] - $memory[$process]) / $connections,
                ($idle[$process] - $before[$process]) * 1e3 / self::IDLE * 60 / $connections * 1e3,
                ($used[$process] - $idle[$process]) * 1e6 / $connections / $events,
                $published,
            );
        }
    }

    /**
     * @param callable(int): (int|float) $figure
     *
     * @return array<string, int|float>
     */
    private function each(callable $figure): array
    {
        return array_map(static fn (array $pids): int|float => array_sum(array_map($figure, $pids)), $this->processes);
    }

    /** Seconds of the processor that a process has used. */
    private static function processor(int $pid): float
    {
        $fields = explode(' ', (string) preg_replace('/^.*\) /s', '', (string) file_get_contents("/proc/$pid/stat")));

        return ((int) $fields[11] + (int) $fields[12]) / 100;
    }
}
