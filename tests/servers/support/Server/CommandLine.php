<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;
use RuntimeException;

/** PHP programs on the command line that share a hub of their own, in a temporary folder. */
final class CommandLine
{
    public readonly TempFolder $folder;
    public readonly string $hubFolder;
    /** @var list<Process> */
    private array $processes = [];
    private readonly string $extension;

    /**
     * @param array<string, string|int> $settings for all programs
     * @param bool $isPolyfill whether they have the library's polyfill in place of the extension
     */
    public function __construct(private readonly array $settings = [], private readonly bool $isPolyfill = false)
    {
        $this->folder = new TempFolder();
        $this->hubFolder = $this->folder->folder('h', 0700);
        $this->folder->folder('log', 0777);
        // Copies, since another user may have no access to the place of these.
        $this->folder->copy(dirname(__DIR__) . '/cli', 'cli');
        $this->extension = $this->folder->copy(Php::extension(), 'sse.so');
    }

    /** Code for run() that is the program `sse`. */
    public static function sse(): string
    {
        return 'require ' . var_export(dirname(__DIR__, 4) . '/php/bin/sse', true) . ';';
    }

    public function socket(): string
    {
        return "{$this->hubFolder}/hub.sock";
    }

    /**
     * Starts a script of tests/servers/support/cli, or code behind -r.
     *
     * @param list<string> $arguments
     * @param array<string, string|int> $settings
     */
    public function start(string $script, array $arguments = [], array $settings = [], array $as = []): Process
    {
        $command = [...$this->asUser(...$as), ...$this->command($script, $arguments, $settings)];
        $name = sprintf('%02d-%s', count($this->processes), pathinfo($script, PATHINFO_FILENAME));
        $log = "{$this->folder->path}/log/" . preg_replace('/[^\w-]+/', '_', substr($name, 0, 40)) . '.out';

        $folder = $this->folder->path;

        return $this->processes[] = new Process($command, $log, ['HOME' => $folder], $folder, $name);
    }

    /**
     * Runs it to its end and returns what it printed.
     *
     * @param list<string> $arguments
     * @param array<string, string|int> $settings
     * @param array{user?: string, group?: string, groups?: string, without?: string} $as `without`: a folder that is empty to it
     */
    public function run(
        string $script,
        array $arguments = [],
        array $settings = [],
        array $as = [],
        int $code = 0,
    ): string {
        $process = $this->start($script, $arguments, $settings, $as);
        $exit = $process->awaitExit();
        if ($exit !== $code) {
            throw new RuntimeException("$script ended with $exit, not $code, and printed: {$process->output()}");
        }

        return trim($process->output());
    }

    /** Starts the hub in the foreground and waits until it listens. */
    public function startHub(array $settings = [], array $as = []): Process
    {
        $hub = $this->start('sse_hub();', [], $settings, $as);
        $path = $settings['sse.socket'] ?? $this->socket();
        Deadline::until(
            static fn (): bool => in_array($hub->pid, Proc::listenersOn($path), true),
            10.0,
            "the hub listens on $path",
            static fn (): string => $hub->output() ?: ($hub->isRunning() ? 'no output yet' : 'it has ended'),
        );

        return $hub;
    }

    /** Starts a subscriber and waits until it is ready. */
    public function subscribe(array $topics, array $settings = [], float $timeout = 120): Process
    {
        $process = $this->start('subscribe.php', [(string) $timeout, ...$topics], $settings);
        self::awaitOutput($process, "ready\n");

        return $process;
    }

    public static function awaitOutput(Process $process, string $text, float $seconds = 10.0): void
    {
        Deadline::until(
            static fn (): bool => str_contains($process->output(), $text),
            $seconds,
            "{$process->name} prints " . json_encode($text, JSON_THROW_ON_ERROR),
            static fn (): string => $process->output() ?: 'no output',
        );
    }

    public function stop(): void
    {
        $hubs = [];
        foreach (glob("{$this->folder->path}/*/*.sock") ?: [] as $socket) {
            $hubs = [...$hubs, ...Proc::listenersOn($socket)];
        }
        foreach ($this->processes as $process) {
            $process->stop();
        }
        foreach ($hubs as $hub) {
            if (Proc::isAlive($hub)) {
                posix_kill($hub, SIGTERM);
                Deadline::until(static fn (): bool => !Proc::isAlive($hub), 5.0, "the hub $hub ends on SIGTERM");
            }
        }
    }

    public function logs(): string
    {
        $logs = '';
        foreach (glob("{$this->folder->path}/{log,h,h/*}/*.{out,log}", GLOB_BRACE) ?: [] as $file) {
            $logs .= '--- ' . substr($file, strlen($this->folder->path) + 1) . "\n" . file_get_contents($file) . "\n";
        }

        return $logs;
    }

    /**
     * @param list<string> $arguments
     * @param array<string, string|int> $settings
     * @return list<string>
     */
    private function command(string $script, array $arguments, array $settings): array
    {
        $settings += $this->settings + Ini::ofHub($this->socket()) + [
            'sse.idle_exit' => 120,
            'display_errors' => 'stderr',
            'log_errors' => 0,
        ];
        $command = [Php::cli(), '-n'];
        if ($this->isPolyfill) {
            $settings += [
                'auto_prepend_file' => Polyfill::loader($this->folder),
                'sse.polyfill_folder' => $this->hubFolder,
                'error_log' => "{$this->folder->path}/log/php.log",
            ];
        }
        foreach ($this->isPolyfill ? Polyfill::modules() : [$this->extension] as $module) {
            array_push($command, '-d', "extension=$module");
        }
        foreach ($settings as $name => $value) {
            array_push($command, '-d', "$name=$value");
        }
        if (str_ends_with($script, '.php')) {
            return [...$command, "{$this->folder->path}/cli/$script", ...$arguments];
        }

        // PHP prepends nothing to what stands behind -r.
        $before = $this->isPolyfill ? 'require "' . Polyfill::loader($this->folder) . '"; ' : '';

        return [...$command, '-r', $before . $script, '--', ...$arguments];
    }

    /** @return list<string> */
    private function asUser(string $user = '', string $group = '', string $groups = '', string $without = ''): array
    {
        if ($without !== '') {
            return ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none "$0" && exec "$@"', $without];
        }
        if ($user === '') {
            return [];
        }
        $supplementary = $groups === '' ? ['--clear-groups'] : ['--groups', $groups];

        return ['setpriv', '--reuid', $user, '--regid', $group === '' ? $user : $group, ...$supplementary, '--'];
    }
}
