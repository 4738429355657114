<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\FpmServer;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** Streams outlive the workers that took their requests. */
final class SurvivalTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function fpmServers(): array
    {
        return Catalogue::each(Catalogue::FPM);
    }

    /** @dataProvider fpmServers */
    public function testStreamsLiveOnWhenEveryWorkerEndsAfterOneRequest(string $name): void
    {
        $server = $this->serveFpm($name, ['pm.max_requests' => 1]);
        $before = $server->workers();
        $streams = $server->client->openMany(6, '/stream.php?topics=news');
        Deadline::until(
            static fn (): bool => array_intersect($before, $server->workers()) === [],
            10.0,
            'the first workers are gone',
        );

        // Not through a worker: with kept connections a web server may send its request to one that is just ending.
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);
        $commandLine->run('publish.php', ['news', 'one']);
        $commandLine->run('publish.php', ['news', 'two']);

        foreach ($streams as $stream) {
            self::assertSame(['one', 'two'], $server->client->awaitEvents($stream, 2));
        }
    }

    /** @dataProvider fpmServers */
    public function testStreamsLiveOnThroughAReload(string $name): void
    {
        $server = $this->serveFpm($name);
        $streams = $this->openHandedOff($server, 6);
        $hub = $server->hub();

        $server->reloadFpm();

        $late = $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'after the reload');
        foreach ([...$streams, $late] as $stream) {
            self::assertSame(['after the reload'], $server->client->awaitEvents($stream, 1));
        }
        self::assertSame($hub, $server->hub());
    }

    /** @dataProvider fpmServers */
    public function testStreamsLiveOnWhenEveryWorkerIsKilled(string $name): void
    {
        $server = $this->serveFpm($name);
        $streams = $this->openHandedOff($server, 6);
        $hub = $server->hub();

        $server->killWorkers();

        $server->publish('news', 'after the kill');
        foreach ($streams as $stream) {
            self::assertSame(['after the kill'], $server->client->awaitEvents($stream, 1));
        }
        self::assertSame($hub, $server->hub());
    }

    public function testAWorkerThatIsKilledWhileItsScriptRunsOnTakesNoStreamWithIt(): void
    {
        $server = $this->serveFpm('nginx-fpm-unix');
        $stream = $server->client->openOne(
            '/stream.php?topics=news&after=wait-for-file&file=' . urlencode("{$server->folder->path}/never"),
        );
        $server->awaitLog('the script runs on');

        $server->killWorkers();

        $server->publish('news', 'after the kill');
        self::assertSame(['after the kill'], $server->client->awaitEvents($stream, 1));
    }

    public function testAWorkerThatIsEndedForItsScriptsRunningTimeTakesNoStreamWithIt(): void
    {
        $server = $this->serveFpm('nginx-fpm-unix', ['request_terminate_timeout' => '1s']);
        $stream = $server->client->openOne(
            '/stream.php?topics=news&after=wait-for-file&file=' . urlencode("{$server->folder->path}/never"),
        );
        Deadline::until(
            static fn (): bool => str_contains($server->logs(), 'execution timed out'),
            10.0,
            'FPM has ended the worker',
            static fn (): string => $server->logs(),
        );

        $server->publish('news', 'after the end');
        self::assertSame(['after the end'], $server->client->awaitEvents($stream, 1));
    }

    /** @return array<string, array{callable(Server): mixed}> */
    public static function endsOfApachesWorkers(): array
    {
        return [
            'they are killed' => [
                static fn (Server $server): array => array_map(
                    static fn (int $pid): bool => posix_kill($pid, SIGKILL),
                    $server->workers(),
                ),
            ],
            // Apache loads its modules anew, and PHP with them.
            'a graceful restart' => [static fn (Server $server) => $server->owner()->signal(SIGUSR1)],
            'a restart' => [static fn (Server $server) => $server->owner()->signal(SIGHUP)],
        ];
    }

    /**
     * @dataProvider endsOfApachesWorkers
     * @param callable(Server): mixed $end
     */
    public function testStreamsOfModPhpLiveOnWhenApacheReplacesItsWorkers(callable $end): void
    {
        $server = $this->serve('apache-mod-php');
        $streams = $server->client->openMany(6, '/stream.php?topics=news');
        $hub = $server->hub();
        $old = $server->workers();

        $end($server);

        Deadline::until(
            static fn (): bool => count($server->workers()) === 2 && array_intersect($old, $server->workers()) === [],
            15.0,
            'Apache has replaced its workers',
        );
        $late = $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'from a new worker');
        foreach ([...$streams, $late] as $stream) {
            self::assertSame(['from a new worker'], $server->client->awaitEvents($stream, 1));
        }
        self::assertSame($hub, $server->hub());
    }

    /** @param array<string, string|int> $options */
    private function serveFpm(string $name, array $options = []): FpmServer
    {
        $server = $this->serve($name, [], $options);
        self::assertInstanceOf(FpmServer::class, $server);

        return $server;
    }

    /**
     * Streams that the workers have let go, which they do after the clients have got the headers. What ends a worker before
     * ends its stream.
     *
     * @return list<Stream>
     */
    private function openHandedOff(Server $server, int $count): array
    {
        $streams = $server->client->openMany($count, '/stream.php?topics=news');
        Deadline::until(
            static fn (): bool => substr_count($server->phpLog(), 'sse_stream returned true') === $count,
            20.0,
            "$count streams have left their workers",
            static fn (): string => $server->phpLog(),
        );

        return $streams;
    }
}
