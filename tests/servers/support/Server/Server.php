<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;
use PHPUnit\Framework\Assert;
use Throwable;

/**
 * A real web server on a free loopback port that serves tests/servers/support/app, in a temporary folder of its own.
 *
 * Started by start(), stopped with all that it brought up (its hub too) by stop().
 */
abstract class Server
{
    public readonly TempFolder $folder;
    public readonly int $port;
    /** The folder of the hub's socket: 0700 and the workers' own. */
    public readonly string $hubFolder;
    public readonly Client $client;

    protected readonly Ini $ini;
    /** @var list<Process> in the order of starting */
    private array $processes = [];

    /**
     * @param array<string, string|int> $ini settings beside those that every fixture has
     * @param array<string, string|int> $options what the kind of server understands, as 'pm.max_requests';
     *     'modules' => redis,apcu: PHP's own to load; 'extension' => 0: without the one under test; 'polyfill' => 1: with
     *     the library's polyfill in its place
     */
    final public function __construct(array $ini = [], protected readonly array $options = [])
    {
        $this->folder = new TempFolder();
        $this->port = (int) ($options['port'] ?? Port::free());
        $user = Php::workerUser();
        $this->hubFolder = $this->folder->folder('h', 0700, $user);
        $this->folder->folder('sessions', 0700, $user);
        $this->folder->folder('log', 0777);
        $this->folder->copy(dirname(__DIR__) . '/app', 'app');
        $modules = array_filter(explode(',', (string) ($options['modules'] ?? '')));
        $isPolyfill = (bool) ($options['polyfill'] ?? 0);
        if ($isPolyfill) {
            array_push($modules, ...Polyfill::modules());
            $ini += $this->polyfillSettings();
        }
        $modules = array_values(array_unique($modules));
        $this->ini = new Ini($ini + $this->baseSettings(), $modules, !$isPolyfill && ($options['extension'] ?? 1));
        $this->folder->file('php.ini', $this->ini->text());
        $this->client = new Client($this->url());
    }

    /** Starts what is needed; start() waits for the port. */
    abstract protected function launch(): void;

    /** @return list<int> the processes that run PHP for requests, without parents that only watch over them */
    abstract public function workers(): array;

    /** The process whose end is the end of the PHP service: FPM's master, Apache's parent, php -S. */
    abstract public function owner(): Process;

    public function scheme(): string
    {
        return 'http';
    }

    final public function url(string $path = ''): string
    {
        return "{$this->scheme()}://127.0.0.1:{$this->port}$path";
    }

    final public function start(): static
    {
        try {
            $this->launch();
            $this->awaitReady();
        } catch (Throwable $failure) {
            $this->stop();

            throw $failure;
        }

        return $this;
    }

    final public function stop(): void
    {
        $this->client->closeAll();
        $hubs = Proc::listenersOn($this->socket());
        // PHP first, and its hub with it: a web server may wait for the streams that it passes on.
        foreach ($this->processes as $process) {
            $this->end($process);
        }
        $this->processes = [];
        foreach ($hubs as $hub) {
            $this->endHub($hub);
        }
    }

    public function socket(): string
    {
        return "{$this->hubFolder}/hub.sock";
    }

    /** The hub of this server's workers; waits for it to be there. */
    final public function hub(): int
    {
        return Deadline::until(
            fn (): ?int => array_values(array_diff(Proc::listenersOn($this->socket()), $this->workers()))[0] ?? null,
            5.0,
            "a hub listens on {$this->socket()}",
            fn (): string => implode(', ', scandir($this->hubFolder) ?: []),
        );
    }

    /** @return array<string, mixed> what sse_stats() says in a worker */
    final public function stats(): array
    {
        return $this->json('/stats.php');
    }

    final public function openStreams(): int
    {
        return $this->stats()['streams']['open'];
    }

    /** Waits until so many streams are counted as open: a client may see a beginning or an end a moment before that. */
    final public function awaitOpenStreams(int $count, float $seconds = 10.0): void
    {
        Deadline::until(
            fn (): bool => $this->openStreams() === $count,
            $seconds,
            "$count streams are open",
            fn (): string => json_encode($this->stats(), JSON_THROW_ON_ERROR),
        );
    }

    /** Waits until so many streams are counted as closed for this reason: a client may see the end a moment before that. */
    final public function awaitClosed(string $why, int $count): void
    {
        Deadline::until(
            fn (): bool => $this->stats()['streams']['closed'][$why] >= $count,
            10.0,
            "$count streams are counted as closed: $why",
            fn (): string => json_encode($this->stats()['streams'], JSON_THROW_ON_ERROR),
        );
        Assert::assertSame($count, $this->stats()['streams']['closed'][$why]);
    }

    /** @return array<string, mixed> */
    final public function json(string $path): array
    {
        $response = $this->client->request($path);
        $value = json_decode($response->body, true);
        if ($response->status !== 200 || !is_array($value)) {
            Deadline::missed(0, "$path answers with JSON", $response->summary());
        }

        return $value;
    }

    /** Publishes through a worker, with publish.php's parameters, and returns the ids. */
    final public function publish(string $topic, string $data, array $more = []): array
    {
        $body = http_build_query(['topic' => $topic, 'data' => $data] + $more);
        $response = $this->client->request('/publish.php', [], 'POST', $body);
        $value = json_decode($response->body, true);
        if ($response->status !== 200 || !is_array($value['ids'] ?? null)) {
            Deadline::missed(0, 'publish.php publishes', $response->summary());
        }

        return $value['ids'];
    }

    /** Waits until PHP's log has a line that holds the text: what a script said there after its output was cut off. */
    final public function awaitLog(string $text, float $seconds = 10.0): void
    {
        Deadline::until(
            fn (): bool => str_contains($this->phpLog(), $text),
            $seconds,
            "PHP's log says '$text'",
            fn (): string => $this->phpLog() ?: 'an empty log',
        );
    }

    final public function phpLog(): string
    {
        return (string) @file_get_contents("{$this->folder->path}/log/php.log");
    }

    /** All that the fixture's programs, PHP and the hub wrote down. */
    final public function logs(): string
    {
        $logs = '';
        $files = [...glob("{$this->folder->path}/log/*") ?: [], ...glob("{$this->hubFolder}/*.log") ?: []];
        foreach ($files as $file) {
            $content = trim((string) @file_get_contents($file));
            if ($content !== '') {
                $name = substr($file, strlen($this->folder->path) + 1);
                $logs .= "--- $name\n" . substr($content, -2000) . "\n";
            }
        }

        return $logs;
    }

    /**
     * Runs a program of this fixture and returns its process.
     *
     * @param list<string> $command
     * @param array<string, string> $environment
     */
    final protected function run(string $name, array $command, array $environment = []): Process
    {
        $environment += [
            // A folder that is not there: an empty value would not be passed on.
            'PHP_INI_SCAN_DIR' => "{$this->folder->path}/none",
            'HOME' => $this->folder->path,
            'LC_ALL' => 'C.UTF-8',
        ];
        $log = "{$this->folder->path}/log/$name.out";

        return $this->processes[] = new Process($command, $log, $environment, $this->folder->path, $name);
    }

    final protected function forget(Process $process): void
    {
        $this->processes = array_values(array_filter(
            $this->processes,
            static fn (Process $one): bool => $one !== $process,
        ));
    }

    protected function end(Process $process): void
    {
        $process->stop();
    }

    final protected function awaitReady(): void
    {
        Deadline::until(
            function (): bool {
                foreach ($this->processes as $process) {
                    if (!$process->isRunning()) {
                        Deadline::missed(0, "{$process->name} runs", $this->logs());
                    }
                }

                return Port::answers($this->port) && $this->answers();
            },
            10.0,
            static::class . ' answers requests',
            fn (): string => $this->logs() ?: 'empty logs',
        );
    }

    private function answers(): bool
    {
        try {
            return $this->client->request('/hello.php', [], 'GET', '', 2.0)->status === 200;
        } catch (Throwable) {
            return false;
        }
    }

    private function endHub(int $hub): void
    {
        $end = microtime(true) + 3.0;
        while (Proc::isAlive($hub) && microtime(true) < $end) {
            usleep(5_000);
        }
        if (Proc::isAlive($hub)) {
            posix_kill($hub, SIGKILL);
        }
    }

    /** @return array<string, string|int> what Composer does for a site, and a folder of the fixture's own */
    private function polyfillSettings(): array
    {
        return ['auto_prepend_file' => Polyfill::loader($this->folder), 'sse.polyfill_folder' => $this->hubFolder, 'sse.heartbeat' => 1];
    }

    /** @return array<string, string|int> */
    private function baseSettings(): array
    {
        $folder = $this->folder->path;

        return Ini::ofHub($this->socket()) + [
            'session.save_path' => "$folder/sessions",
            // The tests choose the ids of sessions, which PHP allows by default only up to 8.5.
            'session.use_strict_mode' => '0',
            'log_errors' => 1,
            'error_log' => "$folder/log/php.log",
            'display_errors' => 0,
            'error_reporting' => 32767,
            'output_buffering' => 0,
            'date.timezone' => 'UTC',
        ];
    }
}
