<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\CliServer;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\FpmServer;
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
