<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** A web server in front of php-fpm with two workers. */
abstract class FpmServer extends Server
{
    protected FpmPool $pool;
    private Process $fpm;

    abstract protected function launchFrontEnd(): void;

    final protected function launch(): void
    {
        $this->pool = new FpmPool($this->folder, $this->options);
        $this->startFpm();
        $this->launchFrontEnd();
    }

    final public function workers(): array
    {
        return array_values(array_filter(
            Proc::children($this->fpm->pid),
            static fn (int $pid): bool => str_starts_with(Proc::title($pid), 'php-fpm: pool'),
        ));
    }

    final public function setEnvironment(string $name, string $value): void
    {
        $this->pool->setEnvironment($name, $value);
    }

    final public function owner(): Process
    {
        return $this->fpm;
    }

    /** Starts FPM on the same listener, at first or after stopFpm(), and waits until it has all of its workers. */
    final public function startFpm(): void
    {
        $this->fpm = $this->run('fpm', $this->pool->command());
        Deadline::until(
            fn (): bool => !$this->fpm->isRunning() || count($this->workers()) >= $this->pool->workers(),
            15.0,
            'FPM has all of its workers',
            fn (): string => implode(' ', $this->workers()),
        );
    }

    final public function stopFpm(int $signal = SIGQUIT): int
    {
        $this->fpm->signal($signal);
        $code = $this->fpm->awaitExit();
        $this->forget($this->fpm);

        return $code;
    }

    /** Reloads FPM, and waits until none of the old workers is left and all of the new are there. */
    final public function reloadFpm(): void
    {
        $this->replaceWorkers(fn () => $this->fpm->signal(SIGUSR2), 'the reload has replaced all workers');
    }

    /** Kills every worker, and waits until FPM has put others in their place. */
    final public function killWorkers(): void
    {
        $this->replaceWorkers(
            fn () => array_map(static fn (int $pid): bool => posix_kill($pid, SIGKILL), $this->workers()),
            'FPM has replaced the killed workers',
        );
    }

    private function replaceWorkers(callable $by, string $what): void
    {
        $old = $this->workers();
        $by();
        Deadline::until(
            fn (): bool => count($this->workers()) === count($old) && array_intersect($old, $this->workers()) === [],
            15.0,
            $what,
            fn (): string => sprintf('%s before, %s now', implode(' ', $old), implode(' ', $this->workers())),
        );
    }
}
