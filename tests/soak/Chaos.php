<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use PhpSse\Tests\Server\CliServer;
use PhpSse\Tests\Server\FpmServer;
use PhpSse\Tests\Server\NginxFpm;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** Does harm at random, and undoes what has to be undone. Each action is a method of its name. */
final class Chaos
{
    /** Seconds that it may take until a hub passes its streams on; where it was killed before, the next one does. */
    private const PASSING_ON = 60.0;

    /** @var array<string, int> */
    public array $done = [];

    /** @var list<array{float, callable(): void}> what has to be undone, and when */
    private array $due = [];
    /** @var array<int, int> the hub of each server as it was seen last */
    private array $hubs = [];
    /** @var array<int, float> when a hub of each server was last asked to pass its streams on */
    private array $asked = [];
    /** @var array<int, int> hubs that have a reason to end, and since when */
    private array $ending = [];

    public function __construct(
        private readonly World $world,
        private readonly Chance $chance,
        private readonly Journal $journal,
    ) {
    }

    /** @param non-empty-array<string, int> $actions */
    public function run(array $actions, float $seconds): void
    {
        $end = microtime(true) + $seconds;
        while (microtime(true) < $end) {
            $next = microtime(true) + $this->chance->between(0.1, 1.5);
            do {
                usleep(20_000);
                $this->undo(microtime(true));
            } while (microtime(true) < $next);
            $this->watch();
            $action = $this->chance->weighted($actions);
            $server = $this->chance->one($this->world->servers);
            if ($this->{lcfirst(str_replace('-', '', ucwords($action, '-')))}($server) !== false) {
                $this->done[$action] = ($this->done[$action] ?? 0) + 1;
            }
        }
    }

    /** Undoes what is left, and waits until all is well. */
    public function heal(): void
    {
        $this->undo(INF);
        $this->journal->write('healed');
        foreach ($this->world->servers as $server) {
            Deadline::until(
                static function () use ($server): bool {
                    try {
                        return $server->client->request('/soak/cursor.php', [], 'GET', '', 1.0)->status === 200;
                    } catch (\RuntimeException) {
                        return false;
                    }
                },
                30.0,
                'the server answers again',
            );
        }
        $this->watch();
    }

    /** Undoes what is due. */
    public function undo(float $now): void
    {
        foreach ($this->due as $place => [$time, $undo]) {
            if ($time <= $now) {
                unset($this->due[$place]);
                $undo();
            }
        }
    }

    /** Looks whether each hub is the one it was: none may end by itself. */
    public function watch(): void
    {
        foreach ($this->world->servers as $number => $server) {
            $hub = $this->hub($server);
            $known = $this->hubs[$number] ?? null;
            if ($known !== null && !Proc::isAlive($known)) {
                $begin = $this->ending[$known] ?? null;
                $kind = match (true) {
                    $begin !== null => 'hub-gone',
                    microtime(true) - ($this->asked[$number] ?? 0) < self::PASSING_ON => 'hub-passed-on',
                    default => 'hub-lost',
                };
                $this->journal->write($kind, (string) $known, (string) $begin);
                unset($this->hubs[$number]);
            }
            if ($hub !== null && $hub !== $known) {
                $this->journal->write('hub-new', (string) $hub);
                $this->hubs[$number] = $hub;
            }
        }
    }

    private function killHub(Server $server): bool
    {
        $hub = $this->hub($server);
        if ($hub === null) {
            return false;
        }
        $begin = Journal::now();
        $this->write('kill-hub', $hub);
        posix_kill($hub, SIGKILL);
        $this->awaitEnd($server, $hub, $begin);

        return true;
    }

    private function stopHub(Server $server): bool
    {
        $hub = $this->hub($server);

        return $hub !== null && $this->stop('hub', $hub);
    }

    private function killWorker(Server $server): bool
    {
        $worker = $this->worker($server);
        if ($worker === null) {
            return false;
        }
        $this->write('kill-worker', $worker);

        return posix_kill($worker, SIGKILL);
    }

    private function killWorkers(Server $server): void
    {
        foreach ($server->workers() as $worker) {
            $this->write('kill-worker', $worker);
            posix_kill($worker, SIGKILL);
        }
    }

    private function stopWorker(Server $server): bool
    {
        $worker = $this->worker($server);

        return $worker !== null && $this->stop('worker', $worker);
    }

    private function reloadFpm(Server $server): void
    {
        assert($server instanceof FpmServer);
        $this->write('reload-fpm', $server->owner()->pid);
        $server->owner()->signal(SIGUSR2);
    }

    private function killNginx(Server $server): void
    {
        assert($server instanceof NginxFpm);
        foreach (array_slice($server->nginx(), 1) as $worker) {
            $this->write('kill-nginx', $worker);
            posix_kill($worker, SIGKILL);
        }
    }

    private function restartNginx(Server $server): void
    {
        assert($server instanceof NginxFpm);
        $this->write('restart-nginx', $server->nginx()[0]);
        $server->restartNginx();
    }

    private function stopNginx(Server $server): bool
    {
        assert($server instanceof NginxFpm);
        $workers = array_slice($server->nginx(), 1);

        return $workers !== [] && $this->stop('nginx', $this->chance->one($workers));
    }

    /** Its hub ends with it, in good order. */
    private function restartPhp(Server $server): void
    {
        assert($server instanceof CliServer);
        // A hub that stands still would not notice that it has to end.
        $this->undo(INF);
        $hub = $this->hub($server);
        $begin = Journal::now();
        $this->write('restart-php', $server->owner()->pid);
        $server->restartPhp();
        if ($hub !== null) {
            $this->ending[$hub] = $begin;
        }
    }

    private function fillDisk(): bool
    {
        $disk = $this->world->disk;
        if ($disk === null || file_exists("$disk/ballast")) {
            return false;
        }
        $this->journal->write('fill-disk', $disk);
        exec('dd if=/dev/zero bs=1M of=' . escapeshellarg("$disk/ballast") . ' 2>&1');
        $this->later(0.3, 3, function () use ($disk): void {
            unlink("$disk/ballast");
            $this->journal->write('free-disk', $disk);
        });

        return true;
    }

    private function lockFile(): bool
    {
        $seconds = $this->chance->between(0.2, 3);
        $this->journal->write('lock-file', sprintf('%.1f', $seconds));
        $this->world->lock($seconds);

        return true;
    }

    private function killRedis(): void
    {
        $this->restartRedis('kill-redis', false);
    }

    private function emptyRedis(): void
    {
        $this->restartRedis('empty-redis', true);
    }

    private function restartRedis(string $kind, bool $empty): void
    {
        $begin = Journal::now();
        $this->write($kind, $this->world->redis->pid());
        $this->world->redis->restart($empty);
        $this->journal->write('redis-new', (string) $begin);
    }

    private function stopRedis(): bool
    {
        $begin = Journal::now();
        $pid = $this->world->redis->pid();
        $this->write('stop-redis', $pid);
        $this->later(0.05, 4, function () use ($pid, $begin): void {
            posix_kill($pid, SIGCONT);
            $this->journal->write('redis-back', (string) $begin);
        });

        return posix_kill($pid, SIGSTOP);
    }

    private function cutRedis(Server $server): void
    {
        $number = array_search($server, $this->world->servers, true);
        $how = $this->chance->one(['cut', 'hole']);
        $begin = Journal::now();
        $this->journal->write('cut-redis', "way $number", $how);
        $this->world->redis->cut($number, $how);
        $this->later(0.1, 6, function () use ($number, $begin): void {
            $this->world->redis->cut($number, null);
            $this->journal->write('redis-back', (string) $begin, "way $number");
        });
    }

    private function upgrade(Server $server): bool
    {
        $number = array_search($server, $this->world->servers, true);

        return $this->passOn('upgrade', $server, fn () => $this->world->upgrade($number));
    }

    private function upgradeBySignal(Server $server): bool
    {
        return $this->passOn('upgrade-by-signal', $server, static fn (int $hub) => posix_kill($hub, SIGHUP));
    }

    /** Kills the old hub or the new one while the one passes everything on to the other, or about then. */
    private function killInUpgrade(Server $server): bool
    {
        if (!$this->upgradeBySignal($server)) {
            return false;
        }
        $this->chance->pause(0, 0.15);
        $hub = $this->chance->one($this->hubsOf($server) ?: [0]);
        if ($hub === 0) {
            return false;
        }
        $begin = Journal::now();
        $this->write('kill-hub', $hub);
        posix_kill($hub, SIGKILL);
        $this->awaitEnd($server, $hub, $begin);

        return true;
    }

    /** @param callable(int): mixed $ask */
    private function passOn(string $kind, Server $server, callable $ask): bool
    {
        $hub = $this->hub($server);
        if ($hub === null) {
            return false;
        }
        $this->write($kind, $hub);
        $this->asked[array_search($server, $this->world->servers, true)] = microtime(true);
        $ask($hub);

        return true;
    }

    /** Stops a process for a while. */
    private function stop(string $what, int $pid): bool
    {
        $this->write("stop-$what", $pid);
        $this->later(0.05, 2.5, function () use ($what, $pid): void {
            $this->write("continue-$what", $pid);
            posix_kill($pid, SIGCONT);
        });

        return posix_kill($pid, SIGSTOP);
    }

    /** @param callable(): void $undo */
    private function later(float $from, float $to, callable $undo): void
    {
        $this->due[] = [microtime(true) + $this->chance->between($from, $to), $undo];
    }

    private function awaitEnd(Server $server, int $hub, int $begin): void
    {
        Deadline::until(static fn (): bool => !Proc::isAlive($hub), 10.0, "the hub $hub has ended");
        $this->journal->write('hub-gone', (string) $hub, (string) $begin);
        $number = array_search($server, $this->world->servers, true);
        if (($this->hubs[$number] ?? null) === $hub) {
            unset($this->hubs[$number]);
        }
    }

    private function hub(Server $server): ?int
    {
        return $this->hubsOf($server)[0] ?? null;
    }

    /** @return list<int> two while one passes everything on to the other */
    private function hubsOf(Server $server): array
    {
        // A worker that is just forking one has the socket for a moment as well.
        return array_values(array_filter(Proc::listenersOn($server->socket()), [Proc::class, 'isHub']));
    }

    private function worker(Server $server): ?int
    {
        $workers = $server->workers();

        return $workers === [] ? null : $this->chance->one($workers);
    }

    private function write(string $kind, int $pid): void
    {
        $this->journal->write($kind, (string) $pid);
    }
}
