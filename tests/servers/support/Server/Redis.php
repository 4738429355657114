<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Deadline;

/** A Redis server on a free loopback port, in a temporary folder of its own. */
final class Redis
{
    public const PASSWORD = 'no-log-has-this';

    public readonly int $port;
    private readonly TempFolder $folder;
    private Process $process;

    /** @param bool $durable whether its data survive kill() */
    public function __construct(private readonly bool $durable = true)
    {
        $this->folder = new TempFolder();
        $this->port = Port::free();
        $this->start();
    }

    public function start(): void
    {
        $this->process = new Process(
            ['redis-server', '--port', (string) $this->port, '--bind', '127.0.0.1', '--dir', $this->folder->path,
                '--save', '', '--appendonly', $this->durable ? 'yes' : 'no', '--appendfsync', 'always',
                '--requirepass', self::PASSWORD],
            "{$this->folder->path}/redis.out",
            ['LC_ALL' => 'C.UTF-8'],
            $this->folder->path,
            'redis-server',
        );
        Deadline::until(fn (): bool => Port::answers($this->port), 10.0, 'Redis listens', $this->process->output(...));
    }

    public function url(string $parameters = ''): string
    {
        return 'redis://:' . self::PASSWORD . "@127.0.0.1:{$this->port}/0?$parameters";
    }

    public function signal(int $signal): void
    {
        $this->process->signal($signal);
    }

    public function kill(): void
    {
        $this->process->signal(SIGKILL);
        $this->process->awaitExit();
    }

    public function stop(): void
    {
        $this->process->signal(SIGCONT);
        $this->process->stop();
        $this->folder->remove();
    }
}
