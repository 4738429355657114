<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** PHP's built-in server. Option 'workers' => 2: PHP_CLI_SERVER_WORKERS. */
final class CliServer extends Server
{
    private Process $php;

    protected function launch(): void
    {
        // It runs as who started it, so the hub's folder has to be that user's.
        chown($this->hubFolder, posix_geteuid());
        chown("{$this->folder->path}/sessions", posix_geteuid());
        $this->startPhp();
    }

    public function workers(): array
    {
        // The first process answers requests too, beside those that it forks.
        return [$this->php->pid, ...array_filter(
            Proc::children($this->php->pid),
            static fn (int $pid): bool => !Proc::isHub($pid),
        )];
    }

    public function owner(): Process
    {
        return $this->php;
    }

    /** Starts php -S on the same port, at first or after stopPhp(). */
    public function startPhp(): void
    {
        $command = [Php::cli(), ...$this->ini->arguments(), '-S', "127.0.0.1:{$this->port}", '-t', 'app'];
        $workers = (string) ($this->options['workers'] ?? '');
        $this->php = $this->run('php', $command, $workers === '' ? [] : ['PHP_CLI_SERVER_WORKERS' => $workers]);
    }

    public function stopPhp(): void
    {
        $this->end($this->php);
        $this->forget($this->php);
    }

    /** Kills all of its processes at once, and starts others on the same port. */
    public function restartPhp(): void
    {
        $processes = $this->workers();
        array_map(static fn (int $pid): bool => posix_kill($pid, SIGKILL), $processes);
        foreach ($processes as $pid) {
            Deadline::until(static fn (): bool => !Proc::isAlive($pid), 5.0, "php -S's process $pid has ended");
        }
        $this->forget($this->php);
        $this->startPhp();
    }

    /** Interrupts all of its processes, as ^C does: the first one waits for the others. */
    protected function end(Process $process): void
    {
        foreach ($this->workers() as $worker) {
            posix_kill($worker, SIGINT);
        }
        $process->stop(SIGINT);
    }
}
