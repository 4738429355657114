<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** Thousands of open streams that count what they get: more than one process of PHP can select from. */
final class Crowd
{
    private const EACH = 900;
    /** @var list<Process> */
    private array $processes = [];
    private readonly string $file;

    public function __construct(private readonly CommandLine $programs, Server $server, string $path, int $count)
    {
        $this->file = "{$programs->folder->path}/total";
        $address = "127.0.0.1:{$server->port}";
        for ($left = $count; $left > 0; $left -= self::EACH) {
            $each = (string) min(self::EACH, $left);
            $this->processes[] = $programs->start('readers.php', [$address, $path, $each, $this->file]);
        }
        foreach ($this->processes as $process) {
            CommandLine::awaitOutput($process, 'open', 60.0);
        }
    }

    /**
     * Waits until all have the events 1 to $total, or their time is over.
     *
     * @return array{complete: int, wrong: int, ended: int, longest_ms: float}
     */
    public function finish(int $total): array
    {
        file_put_contents("{$this->file}.new", (string) $total);
        rename("{$this->file}.new", $this->file);
        $sum = ['complete' => 0, 'wrong' => 0, 'ended' => 0, 'longest_ms' => 0.0];
        foreach ($this->processes as $process) {
            $process->awaitExit(150.0);
            $said = json_decode(trim(strrchr(trim($process->output()), "\n") ?: ''), true);
            foreach (['complete', 'wrong', 'ended'] as $name) {
                $sum[$name] += $said[$name];
            }
            $sum['longest_ms'] = max($sum['longest_ms'], $said['longest_ms']);
        }

        return $sum;
    }
}
