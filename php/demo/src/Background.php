<?php

declare(strict_types=1);

namespace Demo;

use RuntimeException;

/**
 * One process beside the server, for as long as it runs: no worker waits for it. A file has its number, and what it was
 * started for; the process inherits a lock of that file, so that the system itself says until when it runs.
 */
final class Background
{
    private readonly string $file;
    private readonly string $script;

    /** @param string $name That of a script in this folder, and of the process's file. */
    public function __construct(string $name)
    {
        $this->file = getenv('SSE_DEMO_DATA') . "/$name.pid";
        $this->script = __DIR__ . "/$name.php";
    }

    /** Only in the demo, for who sits at its machine. */
    public static function mayStart(): bool
    {
        return getenv('SSE_DEMO_CROWD') === '1' && function_exists('posix_kill') && Request::isOfThisMachine();
    }

    public function isRunning(): bool
    {
        return $this->alone(fn (): bool => $this->running() !== null);
    }

    /**
     * Starts the process, unless there is one, and returns what the one that runs was started for.
     *
     * @param string                $for      What it is started for.
     * @param list<string|int>      $arguments
     * @param array<string, string> $settings Those of PHP.
     */
    public function start(string $for, array $arguments, array $settings = []): string
    {
        return $this->alone(function () use ($for, $arguments, $settings): string {
            [, $runsFor] = $this->running() ?? [0, null];
            if ($runsFor === null) {
                $this->run($for, $arguments, $settings);
            }
            return $runsFor ?? $for;
        });
    }

    /** Ends the process. */
    public function end(): void
    {
        $this->alone(function (): void {
            [$pid] = $this->running() ?? [0];
            if ($pid > 0) {
                posix_kill($pid, 15);
            }
        });
    }

    /**
     * Two workers may be asked at once: one after the other looks and starts.
     *
     * @template T
     * @param callable(): T $do
     * @return T
     */
    private function alone(callable $do): mixed
    {
        $lock = self::open("$this->file.lock");
        flock($lock, LOCK_EX);
        return $do();
    }

    /** @return array{int, string}|null Its number, and what it was started for; null: none runs. */
    private function running(): ?array
    {
        $file = self::open($this->file);
        if (flock($file, LOCK_EX | LOCK_NB)) {
            return null;
        }
        [$pid, $for] = explode(' ', (string) stream_get_contents($file), 2) + ['', ''];
        return [(int) $pid, $for];
    }

    /**
     * @param list<string|int>      $arguments
     * @param array<string, string> $settings
     */
    private function run(string $for, array $arguments, array $settings): void
    {
        $file = self::open($this->file);
        flock($file, LOCK_EX);
        $program = [PHP_BINDIR . '/php', '-n'];
        foreach ($settings as $setting => $value) {
            array_push($program, '-d', "$setting=$value");
        }
        array_push($program, $this->script, ...$arguments);
        $command = implode(' ', array_map(static fn ($argument): string => escapeshellarg((string) $argument), $program));
        // The server's sockets and this request's connection are not the process's to keep open; the lock is.
        $keep = escapeshellarg($this->file);
        $close = "for file in /proc/self/fd/*; do [[ \$file -ef $keep ]] && continue; file=\${file##*/}; "
            . 'if ((file > 2)); then eval "exec $file>&-"; fi; done';
        $pid = (int) exec('bash -c ' . escapeshellarg("$close; exec $command") . ' </dev/null >/dev/null 2>&1 & echo $!');
        ftruncate($file, 0);
        fwrite($file, "$pid $for");
    }

    /** @return resource */
    private static function open(string $path): mixed
    {
        return fopen($path, 'c+') ?: throw new RuntimeException("'$path' cannot be opened");
    }
}
