<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Support\Deadline;

/** A Redis server that writes down what it has, and a way to it for each hub that can be cut. */
final class Redis
{
    private Process $process;
    /** @var list<Process> */
    private array $relays = [];

    public function __construct(private readonly string $folder, private readonly string $programs)
    {
        $this->start();
    }

    /** Starts a relay and returns its port. */
    public function relay(): int
    {
        $port = Port::free();
        $number = count($this->relays);
        $command = ['php', "$this->programs/relay.php", (string) $port, "$this->folder/redis.sock", $this->cutFile($number)];
        $this->relays[] = new Process($command, "$this->folder/relay-$number.out", [], $this->folder, "relay-$number");
        Deadline::until(static fn (): bool => Port::answers($port), 10.0, 'the relay listens');

        return $port;
    }

    /** Breaks the way of one hub: `cut` or `hole`; null: mends it. */
    public function cut(int $number, ?string $how): void
    {
        if ($how === null) {
            @unlink($this->cutFile($number));
        } else {
            file_put_contents("{$this->cutFile($number)}.new", $how);
            rename("{$this->cutFile($number)}.new", $this->cutFile($number));
        }
    }

    public function pid(): int
    {
        return $this->process->pid;
    }

    /** Kills it and starts another, with what the first has written down, or with nothing. */
    public function restart(bool $empty): void
    {
        $this->process->signal(SIGKILL);
        $this->process->awaitExit();
        if ($empty) {
            exec('rm -rf ' . escapeshellarg("$this->folder/appendonlydir"));
        }
        @unlink("$this->folder/redis.sock");
        $this->start();
    }

    /** @return list<list<string>> id in Redis, id and key of all events in the stream */
    public function rows(): array
    {
        $redis = new \Redis();
        $redis->connect("$this->folder/redis.sock");
        $rows = [];
        $next = '-';
        do {
            $entries = $redis->rawCommand('XRANGE', 'soak', $next, '+', 'COUNT', '1000');
            foreach ($entries as [$stamp, $pairs]) {
                $fields = [];
                foreach (array_chunk($pairs, 2) as [$name, $value]) {
                    $fields[$name] = $value;
                }
                $rows[] = [$stamp, $fields['id'] ?? $stamp, Draft::keyOf($fields['data'])];
                $next = "($stamp";
            }
        } while ($entries !== []);

        return $rows;
    }

    public function stop(): void
    {
        foreach ([...$this->relays, $this->process] as $process) {
            $process->signal(SIGCONT);
            $process->stop(SIGKILL);
        }
    }

    private function start(): void
    {
        $this->process = new Process(
            ['redis-server', '--port', '0', '--unixsocket', "$this->folder/redis.sock", '--dir', $this->folder,
                '--save', '', '--appendonly', 'yes', '--appendfsync', 'no', '--daemonize', 'no'],
            "$this->folder/redis.out",
            [],
            $this->folder,
            'redis-server',
        );
        Deadline::until(
            fn (): bool => str_contains((string) shell_exec('redis-cli -s ' . escapeshellarg("$this->folder/redis.sock") . ' PING 2>&1'), 'PONG'),
            20.0,
            'Redis answers',
            fn (): string => $this->process->output(),
        );
    }

    private function cutFile(int $number): string
    {
        return "$this->folder/way-$number";
    }
}
