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
        $handle = proc_open($command, $descriptors, $pipes, $folder, $environment + ['PATH' => self::path()]);
        if ($handle === false) {
            throw new RuntimeException('cannot start ' . implode(' ', $command));
        }
        $this->handle = $handle;
        $this->pid = proc_get_status($handle)['pid'];
    }

    public function isRunning(): bool
    {
        if ($this->exitCode !== null) {
            return false;
        }
        $status = proc_get_status($this->handle);
        if ($status['running']) {
            return true;
        }
        $this->exitCode = $status['signaled'] ? 128 + $status['termsig'] : $status['exitcode'];

        return false;
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
