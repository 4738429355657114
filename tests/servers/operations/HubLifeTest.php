<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\CliServer;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\FpmServer;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** How a hub comes to be, what it holds, and when it ends. */
final class HubLifeTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'php-s-workers']);
    }

    /** @dataProvider servers */
    public function testTheHubHasATitleAndNoTerminal(string $name): void
    {
        $server = $this->serve($name);
        $server->client->openOne('/stream.php?topics=news');

        $hub = $server->hub();

        self::assertSame('sse-hub', explode(' ', Proc::title($hub))[0]);
        foreach ([0, 1, 2] as $descriptor) {
            self::assertSame('/dev/null', readlink("/proc/$hub/fd/$descriptor"));
        }
    }

    /** @dataProvider servers */
    public function testTheHubHoldsNoDescriptorOfItsParents(string $name): void
    {
        $server = $this->serve($name);
        $server->client->openOne('/stream.php?topics=news');
        $shared = static function (int $pid) use ($server): array {
            $both = array_intersect(Proc::descriptors($server->hub()), Proc::descriptors($pid));

            return preg_grep('/^(socket|pipe):|^\/(?!dev\/)/', $both);
        };

        foreach ([$server->owner()->pid, ...$server->workers()] as $pid) {
            // The worker lets the connection go after its client has got the headers.
            Deadline::until(
                static fn (): bool => $shared($pid) === [],
                20.0,
                'nothing is shared with ' . Proc::title($pid),
                static fn (): string => implode(', ', $shared($pid)),
            );
        }
        self::assertNotSame([], Proc::descriptors($server->hub()));
    }

    /** @return array<string, array{string, int}> */
    public static function ownersAndSignals(): array
    {
        return [
            'FPM ends' => ['nginx-fpm-unix', SIGTERM],
            'FPM ends gracefully' => ['nginx-fpm-tcp', SIGQUIT],
            'FPM is killed' => ['nginx-fpm-tcp', SIGKILL],
            'Apache ends' => ['apache-mod-php', SIGTERM],
            'Apache is killed' => ['apache-mod-php', SIGKILL],
            'php -S ends' => ['php-s', SIGINT],
            'php -S is killed' => ['php-s', SIGKILL],
            'php -S with workers is killed' => ['php-s-workers', SIGKILL],
        ];
    }

    /** @dataProvider ownersAndSignals */
    public function testTheHubEndsWithItsOwnerAndTheStreamsWithIt(string $name, int $signal): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/stream.php?topics=news');
        $hub = $server->hub();
        $children = array_diff($server->workers(), [$server->owner()->pid]);

        $server->owner()->signal($signal);

        Deadline::until(static fn (): bool => !Proc::isAlive($hub), 10.0, 'the hub has ended');
        $server->client->await($stream, static fn (): bool => $stream->ended, 10.0, 'the stream has ended');
        self::assertFileDoesNotExist($server->socket());
        // What a killed parent leaves behind is ended here.
        foreach ($children as $child) {
            Proc::isAlive($child) && posix_kill($child, SIGKILL);
        }
    }

    /** The workers have loaded it themselves, but the master is the server. */
    public function testTheHubOutlivesTheWorkersOfAPoolThatLoadsTheExtension(): void
    {
        $options = ['extension' => 0, 'php_admin_value[extension]' => Php::extension()];
        $server = $this->serve('nginx-fpm-unix', [], $options);
        self::assertInstanceOf(FpmServer::class, $server);
        $stream = $server->client->openOne('/stream.php?topics=news');
        $hub = $server->hub();
        // A worker that had not let go yet would take the stream along.
        $server->awaitOpenStreams(1);

        $server->killWorkers();

        self::assertSame($hub, $server->stats()['pid']);
        $server->publish('news', 'hello');
        self::assertSame(['hello'], $server->client->awaitEvents($stream, 1));
        $server->stopFpm();
        Deadline::until(static fn (): bool => !Proc::isAlive($hub), 10.0, 'the hub has ended with the master');
    }

    public function testFpmRestartsOnTheSamePortAtOnce(): void
    {
        $server = $this->serve('nginx-fpm-tcp');
        self::assertInstanceOf(FpmServer::class, $server);
        $server->client->openMany(5, '/stream.php?topics=news');

        $server->stopFpm();
        $server->startFpm();

        $this->assertServesStreams($server);
    }

    public function testPhpDashSRestartsOnTheSamePortAtOnce(): void
    {
        $server = $this->serve('php-s');
        self::assertInstanceOf(CliServer::class, $server);
        $server->client->openMany(5, '/stream.php?topics=news');

        $server->stopPhp();
        $server->startPhp();

        $this->assertServesStreams($server);
    }

    public function testFiftyProcessesAtOnceGetOneHub(): void
    {
        $commandLine = $this->commandLine();
        $go = "{$commandLine->folder->path}/go";
        $publishers = [];
        for ($i = 0; $i < 50; $i++) {
            $publishers[] = $commandLine->start('publish.php', ['news', "event $i", $go]);
        }
        touch($go);

        $codes = array_map(static fn (Process $process): int => $process->awaitExit(60.0), $publishers);

        $said = array_map(static fn (Process $process): string => trim($process->output()), $publishers);
        self::assertSame(array_fill(0, 50, 0), $codes, implode("\n", $said));
        self::assertCount(50, array_unique($said), 'ids of one hub are all different');
        self::assertCount(1, Proc::listenersOn($commandLine->socket()));
        // One hub has seen them all: another one, even if it has ended since, would have counted some.
        self::assertSame(50, json_decode($commandLine->run('stats.php'), true)['published']);
    }

    public function testAStaleSocketFileIsReplaced(): void
    {
        $commandLine = $this->commandLine();
        fclose(stream_socket_server("unix://{$commandLine->socket()}"));
        self::assertFileExists($commandLine->socket());

        $id = $commandLine->run('publish.php', ['news', 'event']);

        self::assertMatchesRegularExpression('/^\d+-\d+$/', $id);
    }

    public function testAKilledHubIsReplacedByTheNextRequest(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $stream = $server->client->openOne('/stream.php?topics=news');
        $hub = $server->hub();
        $server->awaitOpenStreams(1);

        posix_kill($hub, SIGKILL);

        $server->client->await($stream, static fn (): bool => $stream->ended, 10.0, 'the stream has ended');
        $again = $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'from the new hub');
        self::assertSame(['from the new hub'], $server->client->awaitEvents($again, 1));
        self::assertNotSame($hub, $server->hub());
    }

    public function testTheHubEndsWhenNobodyIsConnectedForLong(): void
    {
        $commandLine = $this->commandLine(['sse.idle_exit' => 1]);
        $subscriber = $commandLine->subscribe(['news'], [], 3);
        [$hub] = Proc::listenersOn($commandLine->socket());

        // Connected, though silent for longer than that.
        CommandLine::awaitOutput($subscriber, 'over');

        Deadline::until(static fn (): bool => !Proc::isAlive($hub), 10.0, 'the hub has ended');
        self::assertFileDoesNotExist($commandLine->socket());
    }

    public function testNoHubIsStartedWhereThatIsOff(): void
    {
        $commandLine = $this->commandLine(['sse.spawn' => 'off']);

        $said = $commandLine->run('publish.php', ['news', 'event'], [], [], 1);

        self::assertStringStartsWith('SseUnavailable: ', $said);
        self::assertFileDoesNotExist($commandLine->socket());
    }

    /** What the process has that happens to start the hub (a password, a user's data) is no business of the hub's. */
    public function testTheHubKeepsNothingOfTheHeapOfWhoStartedIt(): void
    {
        $commandLine = $this->commandLine();
        $script = <<<'PHP'
            $secret = bin2hex(random_bytes(16));
            $large = array_map(static fn (int $nth): string => str_repeat("$secret $nth", 30_000), range(1, 100));
            sse_publish('news', 'first');
            $stats = sse_stats();
            echo $stats['pid'], ' ', $stats['resident_bytes'], ' ', memory_get_usage(), ' ', $secret;
            PHP;

        [$hub, $resident, $used, $secret] = explode(' ', $commandLine->run($script, [], ['memory_limit' => -1]));

        self::assertGreaterThan(100_000_000, (int) $used);
        self::assertLessThan(50_000_000, (int) $resident);
        // The parser of `-r` has the code, and the code has no secret.
        self::assertSame(0, self::countInMemory((int) $hub, $secret));
    }

    /** Other processes of the same user, scripts of another site for example, must not read what goes through the hub. */
    public function testTheMemoryOfTheHubIsClosedToItsOwnUser(): void
    {
        $commandLine = $this->commandLine();
        chown($commandLine->hubFolder, 'www-data');
        $script = <<<'PHP'
            sse_publish('news', 'first');
            $opens = static fn (int $pid): bool => is_resource(@fopen("/proc/$pid/mem", 'rb'));
            echo json_encode([$opens(getmypid()), $opens(sse_stats()['pid'])]);
            PHP;

        $said = $commandLine->run($script, [], [], ['user' => 'www-data']);

        self::assertSame('[true,false]', $said);
    }

    /** Its end would be taken for that of a child of the script's own, which the handler would then wait for. */
    public function testStartingTheHubTellsTheScriptOfNoChild(): void
    {
        $commandLine = $this->commandLine();
        $script = <<<'PHP'
            $told = 0;
            pcntl_signal(SIGCHLD, static function () use (&$told): void { $told++; });
            sse_publish('news', 'first');
            pcntl_signal_dispatch();
            $child = pcntl_wait($status, WNOHANG);
            if (($own = pcntl_fork()) === 0) {
                exit(0);
            }
            $waited = pcntl_wait($status);
            pcntl_signal_dispatch();
            echo json_encode([$child, $waited === $own, $told]);
            PHP;

        self::assertSame('[-1,true,1]', $commandLine->run($script));
    }

    /** As in a changed root. What a panic or a library says must go into no socket that got the number of a standard stream. */
    public function testWithoutDevNullTheStandardStreamsOfTheHubLeadNowhere(): void
    {
        $commandLine = $this->commandLine(['sse.processes' => 2]);
        $start = "sse_publish('news', 'first'); echo sse_stats()['pid'];";
        $process = $commandLine->start($start, [], [], ['without' => '/dev']);
        if ($process->awaitExit() !== 0 && !str_contains($process->output(), 'SseUnavailable')) {
            self::markTestSkipped("no /dev can be taken away here: {$process->output()}");
        }
        $hub = (int) $process->output();

        $processes = [$hub, ...Proc::children($hub)];
        self::assertGreaterThan(1, count($processes));
        foreach ($processes as $pid) {
            foreach ([0, 1, 2] as $descriptor) {
                self::assertContains(readlink("/proc/$pid/fd/$descriptor"), ['/', "{$commandLine->socket()}.log"], Proc::title($pid));
            }
            self::assertSame('/', readlink("/proc/$pid/fd/2"));
        }
    }

    /** How often a text is in what a process can write to. */
    private static function countInMemory(int $pid, string $text): int
    {
        $count = 0;
        $memory = fopen("/proc/$pid/mem", 'rb');
        self::assertNotFalse($memory, 'root may read it');
        stream_set_read_buffer($memory, 0);
        foreach (file("/proc/$pid/maps", FILE_IGNORE_NEW_LINES) as $line) {
            if (preg_match('/^([0-9a-f]+)-([0-9a-f]+) rw/', $line, $found) !== 1) {
                continue;
            }
            for ($at = hexdec($found[1]), $end = hexdec($found[2]); $at < $end; $at += strlen($part) - strlen($text)) {
                $part = fseek($memory, $at) === 0 ? (string) @fread($memory, min(1 << 20, $end - $at)) : '';
                $count += substr_count($part, $text);
                if (strlen($part) <= strlen($text) || $at + strlen($part) >= $end) {
                    break;
                }
            }
        }

        return $count;
    }

    private function assertServesStreams(FpmServer|CliServer $server): void
    {
        Deadline::until(
            static fn (): bool => $server->client->request('/hello.php')->status === 200,
            10.0,
            'requests are answered again',
            static fn (): string => $server->logs(),
        );
        self::assertTrue($server->owner()->isRunning(), $server->logs());
        $stream = $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'again');
        self::assertSame(['again'], $server->client->awaitEvents($stream, 1));
        self::assertSame(1, $server->openStreams());
    }
}
