<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;
use RuntimeException;

/** A program that runs beside the tests, its output in a file; it never outlives the tests' own process. */
final class Process
{
    public readonly int $pid;
    /** @var resource */
    private $handle;
    private ?int $exitCode = null;

    /**
     * @param list<string> $command
     * @param array<string, string> $environment all that the program sees, besides PATH
     */
    public function __construct(
        array $command,
        public readonly string $log,
        array $environment = [],
        ?string $folder = null,
        public readonly string $name = '',
    ) {
        $descriptors = [['file', '/dev/null', 'r'], ['file', $log, 'a'], ['file', $log, 'a']];
        // The program ends also when the tests' process is killed and cannot stop it. It gets a process group of its
        // own, since Apache signals its whole group.
        $command = ['setpriv', '--pdeathsig', 'TERM', 'setsid', ...$command];
        // What tools/asan has set.
        $sanitizer = array_intersect_key(getenv(), ['LD_PRELOAD' => 0, 'USE_ZEND_ALLOC' => 0, 'ASAN_OPTIONS' => 0]);
        $handle = proc_open($command, $descriptors, $pipes, $folder, $environment + $sanitizer + ['PATH' => self::path()]);
        if ($handle === false) {
            throw new RuntimeException('cannot start ' . implode(' ', $command));
        }
        $this->handle = $handle;
        $status = proc_get_status($handle);
        $this->pid = $status['pid'];
        $this->note($status);
    }

    public function isRunning(): bool
    {
        if ($this->exitCode !== null) {
            return false;
        }
        $this->note(proc_get_status($this->handle));

        return $this->exitCode === null;
    }

    /**
     * Before PHP 8.3 only the first status after the end has the exit code; it may be the one that has told the pid.
     *
     * @param array{running: bool, signaled: bool, exitcode: int, termsig: int} $status
     */
    private function note(array $status): void
    {
        if (!$status['running']) {
            $this->exitCode = $status['signaled'] ? 128 + $status['termsig'] : $status['exitcode'];
        }
    }

    /** The exit code, or 128 and the signal's number; null while it runs. */
    public function exitCode(): ?int
    {
        return $this->isRunning() ? null : $this->exitCode;
    }

    public function signal(int $signal): void
    {
        if ($this->isRunning()) {
            posix_kill($this->pid, $signal);
        }
    }

    public function awaitExit(float $seconds = 10.0): int
    {
        Deadline::until(
            fn (): bool => !$this->isRunning(),
            $seconds,
            "process {$this->pid} ({$this->name}) has ended",
            fn (): string => "it runs; its output: {$this->output()}",
        );

        return (int) $this->exitCode;
    }

    /** Ends it and its children but for a hub, by force where asking does not help. */
    public function stop(int $signal = SIGTERM): void
    {
        $children = array_filter(Proc::children($this->pid), static fn (int $pid): bool => !Proc::isHub($pid));
        $this->signal($signal);
        $end = microtime(true) + 5.0;
        while ($this->isRunning() && microtime(true) < $end) {
            usleep(5_000);
        }
        $this->signal(SIGKILL);
        foreach ($children as $child) {
            if (Proc::isAlive($child)) {
                posix_kill($child, SIGKILL);
            }
        }
        while ($this->isRunning()) {
            usleep(1_000);
        }
    }

    public function output(): string
    {
        return (string) @file_get_contents($this->log);
    }

    private static function path(): string
    {
        return (getenv('PATH') ?: '/usr/bin:/bin') . ':/usr/local/sbin:/usr/sbin:/sbin';
    }
}
