<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Server\TempFolder;
use PhpSse\Tests\Support\Deadline;
use RuntimeException;

/** All that a scenario runs on: folders, a small disk, servers, publishers and readers; and its end. */
final class World
{
    /** Bytes of the small disk: for what is always there, and for each second of events. */
    private const DISK = 64 << 20;
    private const DISK_A_SECOND = 1 << 20;

    public readonly Journal $journal;
    public readonly Control $control;
    /** @var list<Server> */
    public array $servers = [];
    /** @var array<string, array{patterns: list<string>}> */
    public array $readers = [];
    /** @var list<string> */
    public array $publishers = [];
    /** The folder on the small disk; null: there is none. */
    public ?string $disk = null;
    public ?Redis $redis = null;

    private readonly TempFolder $folder;
    /** The variable SSE_EXTENSION as it was. */
    private readonly string $extension;
    /** @var array<string, Process> */
    private array $processes = [];
    private ?string $mounted = null;

    public function __construct(
        private readonly Scenario $scenario,
        private readonly int $seed,
        private readonly int $seconds,
        private readonly Features $features,
        private readonly string $logLevel,
    ) {
        $this->extension = (string) getenv('SSE_EXTENSION');
        $this->folder = new TempFolder();
        $this->folder->folder('journals', 0777);
        $this->folder->folder('control', 0777);
        $this->folder->folder('log', 0777);
        $this->folder->folder('tests');
        // Copies, since another user may have no access to the place of these.
        foreach (['servers', 'soak'] as $part) {
            $this->folder->copy(dirname(__DIR__) . "/$part", "tests/$part");
        }
        $this->journal = new Journal($this->journalOf('chaos'));
        $this->control = new Control("{$this->folder->path}/control");
    }

    public function file(): string
    {
        return "{$this->folder->path}/db/sse.db";
    }

    public function start(): void
    {
        // Another user may have no access to its place.
        putenv('SSE_EXTENSION=' . $this->folder->copy(Php::extension(), 'sse.so'));
        $settings = $this->scenario->settings + [
            // Short, so that a pause is longer now and then.
            'sse.timeout' => 1000,
            'sse.heartbeat' => 2,
            'sse.retry' => 100,
            // Small, so that a reader that stops reading is a slow one soon.
            'sse.max_event_size' => Draft::LARGEST,
            'sse.stream_buffer' => 3 * Draft::LARGEST,
            // Nothing is forgotten while it runs.
            'sse.history_events' => 10_000_000,
            'sse.history_bytes' => '8G',
            'sse.history_ttl' => 86_400,
            'sse.log_level' => $this->logLevel,
        ];
        if ($this->scenario->onDisk) {
            $this->makeDisk();
            $settings['sse.history'] = "sqlite:{$this->file()}";
        }
        $options = ['pm.max_children' => 4, 'modules' => 'ctype,posix,mbstring,sockets,sqlite3'];
        if ($this->scenario->onBus) {
            $this->redis = new Redis($this->folder->folder('redis'), "{$this->folder->path}/tests/soak/program");
        }
        for ($number = 0; $number < ($this->redis === null ? 1 : 2); $number++) {
            if ($this->redis !== null) {
                $settings['sse.bus'] = "redis://127.0.0.1:{$this->redis->relay()}/0?stream=soak&maxlen=10000000";
            }
            $server = Catalogue::make($this->scenario->server, $settings, $options);
            $this->servers[] = $server;
            $server->folder->copy(__DIR__ . '/app', 'app/soak');
            $server->start();
        }
    }

    /** The readers first, so that they miss nothing. */
    public function populate(Chance $chance): void
    {
        $addresses = array_map(static fn (Server $server): string => "127.0.0.1:$server->port", $this->servers);
        $about = [
            'addresses' => $addresses,
            'last' => $this->cursor(),
            'subscribe' => false,
            'buffer' => 0,
            'in_worker' => 0,
            'habits' => ['drop' => 6, 'stall' => 2, 'back' => 1, 'page' => 1],
            'patience' => 120.0,
        ];
        $restless = ['drop' => 4, 'back' => 2, 'page' => 2, 'afresh' => 2];
        $slow = ['stall' => 5, 'drop' => 1];
        $fpm = str_contains($this->scenario->server, 'fpm');
        // One that reads everything and does nothing else: it knows the order.
        $this->reader('calm', ['subscribe' => true, 'patterns' => ['**'], 'habits' => []] + $about);
        $this->reader('all', ['patterns' => ['**']] + $about);
        $this->reader('slow', ['patterns' => ['**'], 'buffer' => 16_384, 'habits' => $slow] + $about);
        $this->reader('restless', ['patterns' => ['alpha', 'beta.**'], 'habits' => $restless] + $about);
        $this->reader('worker', ['subscribe' => true, 'patterns' => ['alpha.one', 'gamma']] + $about, count($this->servers) - 1);
        $this->reader('quiet', ['patterns' => ['quiet']] + $about);
        $patterns = $chance->one([['alpha.*'], ['*.one'], ['beta.**', 'gamma'], ['alpha', 'alpha.**'], ['*']]);
        $this->reader('mixed', ['patterns' => $patterns, 'in_worker' => $fpm ? 20 : 0] + $about);
        $rate = $chance->between(20, 60);
        foreach (['a', 'b', 'c'] as $number => $name) {
            $this->publisher($name, ['rate' => $rate, 'modes' => $this->features->modes()], $number % count($this->servers));
        }
        foreach (['d', 'e'] as $name) {
            $this->publisher($name, [
                'rate' => $rate / 2,
                'address' => $chance->one($addresses),
                'modes' => $this->features->modes() + ($this->features->modes ? ['rollback' => 2] : []),
            ]);
        }
    }

    /** Ends publishing, publishes the last events, and waits until every reader has them or gives up. */
    public function finish(): void
    {
        $this->control->endPublishing();
        foreach ($this->publishers as $name) {
            $this->processes[$name]->awaitExit(30.0);
        }
        foreach (array_keys($this->readers) as $name) {
            // One that has failed says so later.
            Deadline::until(
                fn (): bool => str_contains((string) file_get_contents($this->journalOf($name)), "\tcalm\n")
                    || !$this->processes[$name]->isRunning(),
                30.0,
                "the reader $name is there and stays",
            );
        }
        $this->publisher('end', ['rate' => 1, 'modes' => ['ack' => 1], 'markers' => 90.0]);
        if ($this->processes['end']->awaitExit(60.0) !== 0) {
            throw new RuntimeException("the last events were not published: {$this->processes['end']->output()}");
        }
        foreach (array_keys($this->readers) as $name) {
            $this->processes[$name]->awaitExit(90.0);
        }
    }

    /** Keeps the history's file locked for a while. */
    public function lock(float $seconds): void
    {
        $this->program('lock-' . count($this->processes), 'lock.php', [$this->file(), (string) $seconds]);
    }

    /** @return array<string, string> readers and publishers that have failed, and why */
    public function casualties(): array
    {
        $dead = [];
        foreach ($this->processes as $name => $process) {
            if (preg_match('/^(lock|upgrade)-/', $name) !== 1 && !$process->isRunning() && $process->exitCode() !== 0) {
                $dead[$name] = "exit code {$process->exitCode()}: " . substr(trim($process->output()), -500);
            }
        }

        return $dead;
    }

    /** The id of the newest event. */
    public function cursor(): string
    {
        $server = $this->servers[0];

        return Deadline::until(
            static function () use ($server): ?string {
                $response = $server->client->request('/soak/cursor.php');

                return $response->status === 200 ? $response->body : null;
            },
            10.0,
            'a hub answers',
        );
    }

    /** @return list<list<string>> stamp, id and key of all events in the history's file */
    public function fileRows(): array
    {
        $rows = [];
        $file = new \SQLite3($this->file(), SQLITE3_OPEN_READONLY);
        $result = $file->query("SELECT ms || '-' || seq, id, substr(data, 1, instr(data, ' ') - 1) FROM event ORDER BY ms, seq");
        while (($row = $result->fetchArray(SQLITE3_NUM)) !== false) {
            $rows[] = $row;
        }
        $file->close();

        return $rows;
    }

    public function journalOf(string $name): string
    {
        return "{$this->folder->path}/journals/$name";
    }

    /**
     * Starts a program of this folder as the user that the hub runs as, with the settings of a server.
     *
     * @param list<string> $arguments
     */
    public function program(string $name, string $program, array $arguments, int $server = 0): Process
    {
        $user = Php::workerUser();
        $fpm = str_contains($this->scenario->server, 'fpm');
        $as = posix_geteuid() === 0 && $fpm ? ['setpriv', '--reuid', $user, '--regid', $user, '--clear-groups', '--'] : [];
        $ini = "{$this->servers[$server]->folder->path}/php.ini";
        $shown = ['-d', 'display_errors=stderr', '-d', 'log_errors=0'];
        $command = [...$as, Php::cli(), '-c', $ini, ...$shown, "{$this->folder->path}/tests/soak/program/$program", ...$arguments];
        $environment = ['PHP_INI_SCAN_DIR' => "{$this->folder->path}/none", 'LC_ALL' => 'C.UTF-8'];

        return $this->processes[$name] = new Process(
            $command,
            "{$this->folder->path}/log/$name.out",
            $environment,
            $this->folder->path,
            $name,
        );
    }

    /** Lets a new hub take over from the one that runs. */
    public function upgrade(int $server): void
    {
        $this->program('upgrade-' . count($this->processes), 'upgrade.php', [$this->journalOf('upgrades')], $server);
    }

    public function stopServers(): void
    {
        foreach ($this->servers as $server) {
            $server->stop();
        }
    }

    /** What the servers wrote to their logs. */
    public function logs(): string
    {
        $logs = '';
        foreach ($this->servers as $server) {
            foreach ([...glob("{$server->folder->path}/log/*") ?: [], ...glob("$server->hubFolder/*.log") ?: []] as $file) {
                $logs .= file_get_contents($file);
            }
        }

        return $logs;
    }

    /** Copies journals and logs to a folder that stays. */
    public function keep(string $to): void
    {
        @mkdir($to, 0755, true);
        $from = ["{$this->folder->path}/journals", "{$this->folder->path}/log"];
        foreach ($this->servers as $server) {
            array_push($from, "{$server->folder->path}/log", ...glob("$server->hubFolder/*.log") ?: []);
        }
        if ($this->redis !== null) {
            $from = [...$from, ...glob("{$this->folder->path}/redis/*.out") ?: []];
        }
        if (is_file($this->file())) {
            $from = [...$from, ...glob("{$this->file()}*") ?: []];
        }
        $place = implode(' ', array_map('escapeshellarg', $from));
        exec('cp -r --backup=numbered ' . $place . ' ' . escapeshellarg($to));
    }

    public function remove(): void
    {
        putenv($this->extension === '' ? 'SSE_EXTENSION' : "SSE_EXTENSION=$this->extension");
        foreach ($this->processes as $process) {
            $process->signal(SIGCONT);
            $process->stop();
        }
        $this->stopServers();
        $this->redis?->stop();
        if ($this->mounted !== null) {
            exec('umount ' . escapeshellarg($this->mounted));
            $this->mounted = null;
        }
        foreach ($this->servers as $server) {
            $server->folder->remove();
        }
        $this->folder->remove();
    }

    private function makeDisk(): void
    {
        $fpm = str_contains($this->scenario->server, 'fpm');
        $folder = $this->folder->folder('db');
        if (posix_geteuid() === 0) {
            $size = self::DISK + $this->seconds * self::DISK_A_SECOND;
            exec('mount -t tmpfs -o size=' . $size . ' soak ' . escapeshellarg($folder) . ' 2>&1', $output, $code);
            if ($code === 0) {
                [$this->mounted, $this->disk] = [$folder, $folder];
            }
        }
        if ($this->disk === null) {
            echo "SKIPPED: {$this->scenario->name}: mount: the disk is not filled; that takes root, and a mount of tmpfs\n";
        }
        chmod($folder, 0700);
        if ($fpm && posix_geteuid() === 0) {
            chown($folder, Php::workerUser());
        }
    }

    private function reader(string $name, array $about, int $server = 0): void
    {
        $this->readers[$name] = ['patterns' => $about['patterns']];
        $this->program($name, 'read.php', [json_encode($about + $this->common($name), JSON_THROW_ON_ERROR)], $server);
        Deadline::until(
            fn (): bool => str_contains((string) @file_get_contents($this->journalOf($name)), "\topen\n"),
            20.0,
            "the reader $name has begun",
            fn (): string => $this->processes[$name]->output() ?: 'no output',
        );
    }

    private function publisher(string $name, array $about, int $server = 0): void
    {
        if (!isset($about['markers'])) {
            $this->publishers[] = $name;
        }
        $this->program($name, 'publish.php', [json_encode($about + $this->common($name), JSON_THROW_ON_ERROR)], $server);
    }

    /** @return array<string, mixed> */
    private function common(string $name): array
    {
        return [
            'name' => $name,
            'seed' => Chance::derived($this->seed, $name),
            'journal' => $this->journalOf($name),
            'control' => "{$this->folder->path}/control",
        ];
    }
}
